"""A selector is narrowed as text, and what does not come out as a selector is refused."""

from __future__ import annotations

import promql_parser
import pytest

from metrics_apiserver.core import seriesselector
from metrics_apiserver.core.promql import Matcher

POD = Matcher("pod", "!=", "")


@pytest.mark.parametrize(
    ("selector", "narrowed"),
    [
        ("up", 'up{pod!=""}'),
        ("up{}", 'up{pod!=""}'),
        ('up{job="x"}', 'up{job="x",pod!=""}'),
        ('up{job="x",}', 'up{job="x",pod!=""}'),
        ('up{job="x", }', 'up{job="x",pod!=""}'),
        ('{__name__=~"^a.*"}', '{__name__=~"^a.*",pod!=""}'),
        (' up{ job="}" } ', 'up{ job="}",pod!=""}'),
        ('up{job="a,"}', 'up{job="a,",pod!=""}'),
        ("node:load:rate5m", 'node:load:rate5m{pod!=""}'),
    ],
)
def test_narrow(selector: str, narrowed: str) -> None:
    assert seriesselector.narrow(selector, (POD,)) == narrowed
    assert type(promql_parser.parse(narrowed)).__name__ == "VectorSelector"


def test_several_and_none() -> None:
    namespace = Matcher("namespace", "=", 'a"b')
    assert seriesselector.narrow("up", (POD, namespace)) == r'up{pod!="",namespace="a\"b"}'
    assert seriesselector.narrow(" up ", ()) == "up"


@pytest.mark.parametrize(
    "selector",
    [
        "up offset 5m",
        "up{} offset 5m",
        "up[5m]",
        "sum(up)",
        "a or b",
        "up{",
        "",
        'up # {job="x"}',
        "up # comment",
        'up{a="b" or c="d"}',
    ],
)
def test_what_cannot_be_extended_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        seriesselector.narrow(selector, (POD,))
