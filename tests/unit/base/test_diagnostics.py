"""One thing that a person should know."""

from __future__ import annotations

import pytest

from metrics_apiserver.base.diagnostics import Diagnostic


@pytest.mark.parametrize(
    ("diagnostic", "text"),
    [
        (Diagnostic("bad"), "f.yaml: bad"),
        (Diagnostic("bad", path="rules[0]"), "f.yaml: rules[0]: bad"),
        (Diagnostic("bad", line=3), "f.yaml:3: bad"),
        (Diagnostic("bad", path="rules[0].name", line=3), "f.yaml:3: rules[0].name: bad"),
    ],
)
def test_a_diagnostic_says_where_it_is(diagnostic: Diagnostic, text: str) -> None:
    assert diagnostic.render("f.yaml") == text
