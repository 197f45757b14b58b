"""What is printed where."""

from __future__ import annotations

import io

from metrics_apiserver.certs.inspection import Finding
from metrics_apiserver.cli.output import Streams


def test_results_and_remarks_are_kept_apart() -> None:
    streams = Streams(io.StringIO(), io.StringIO())
    streams.say("a")
    streams.remark("b")
    streams.manifests([{"kind": "A", "b": 1}, {"kind": "B"}])
    assert isinstance(streams.out, io.StringIO)
    assert isinstance(streams.err, io.StringIO)
    assert streams.out.getvalue() == "a\n---\nkind: A\nb: 1\n---\nkind: B\n"
    assert streams.err.getvalue() == "b\n"


def test_bad_findings_stand_out() -> None:
    streams = Streams(io.StringIO(), io.StringIO())
    assert streams.findings("x", [Finding("a", "b")])
    assert not streams.findings("x", [Finding("a", "b"), Finding("c", "d", good=False)])
    assert isinstance(streams.out, io.StringIO)
    assert streams.out.getvalue().endswith("  c         BAD: d\n")
