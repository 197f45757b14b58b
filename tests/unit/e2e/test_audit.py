"""The reader of the audit log must miss no write and invent none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.harness import audit
from tests.e2e.harness.audit import AuditLog, ScaleWrite


def event(name: str, replicas: int, *, code: int = 200, subresource: str = "scale") -> bytes:
    return json.dumps(
        {
            "objectRef": {"name": name, "subresource": subresource},
            "responseStatus": {"code": code},
            "requestObject": {"spec": {"replicas": replicas}},
        }
    ).encode()


def test_accepted_writes_are_read_in_order() -> None:
    assert list(audit.parse([event("a", 2), event("b", 3)])) == [
        ScaleWrite("a", 2),
        ScaleWrite("b", 3),
    ]


@pytest.mark.parametrize(
    "line", [event("a", 2, code=409), event("a", 2, subresource="status"), event("a", 2)[:40], b""]
)
def test_what_is_no_accepted_write_is_passed_over(line: bytes) -> None:
    assert list(audit.parse([line])) == []


def test_replicas_zero_are_left_out_of_json() -> None:
    line = event("a", 0).replace(b'"replicas": 0', b"")
    assert list(audit.parse([line])) == [ScaleWrite("a", 0)]


def test_each_write_is_given_once_and_only_when_its_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(event("a", 1) + b"\n")
    log = AuditLog(path)
    with path.open("ab") as out:
        out.write(event("a", 2) + b"\n" + event("a", 3)[:20])
    assert log.writes() == [ScaleWrite("a", 2)]
    with path.open("ab") as out:
        out.write(event("a", 3)[20:] + b"\n")
    assert log.writes() == [ScaleWrite("a", 3)]
    assert log.writes() == []


def test_a_log_that_does_not_exist_yet_has_no_writes(tmp_path: Path) -> None:
    assert AuditLog(tmp_path / "audit.log").writes() == []


@pytest.mark.parametrize(
    ("load", "target", "replicas"), [(70.0, 40.0, 2), (80.0, 40.0, 2), (81.0, 40.0, 3), (0.0, 5, 0)]
)
def test_replicas_for(load: float, target: float, replicas: int) -> None:
    assert audit.replicas_for(load, target) == replicas


def test_unexplained_names_only_counts_that_no_load_gives() -> None:
    writes = [ScaleWrite("a", 2), ScaleWrite("a", 5), ScaleWrite("other", 1)]
    assert audit.unexplained(writes, {"a": {2}}) == [ScaleWrite("a", 5), ScaleWrite("other", 1)]
