from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import gotemplate

FIELDS: dict[str, type] = {
    "Series": str,
    "LabelMatchers": str,
    "LabelValuesByName": dict[str, str],
    "GroupBy": str,
    "GroupBySlice": list[str],
}
DATA: dict[str, object] = {
    "Series": "http_requests_total",
    "LabelMatchers": 'namespace="a",pod=~"x|y"',
    "LabelValuesByName": {"namespace": "a", "pod": "x|y"},
    "GroupBy": "pod,container",
    "GroupBySlice": ["pod", "container"],
}


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("", ""),
        (
            "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)",
            'sum(rate(http_requests_total{namespace="a",pod=~"x|y"}[2m])) by (pod,container)',
        ),
        ('<<index .LabelValuesByName "namespace">>', "a"),
        ('<<index .LabelValuesByName "none">>|<<.LabelValuesByName.none>>', "|<no value>"),
        (
            "<<range $i, $label := .GroupBySlice>><<if $i>>,<<end>>kube_<<$label>><<end>>",
            "kube_pod,kube_container",
        ),
        ('<<printf "%s_%d" .Series (len .GroupBySlice)>>', "http_requests_total_2"),
        (
            "<<.>>",
            '{http_requests_total namespace="a",pod=~"x|y" map[namespace:a pod:x|y]'
            " pod,container [pod container]}",
        ),
    ],
)
def test_rendering(text: str, output: str) -> None:
    assert gotemplate.compile(text, FIELDS).render(DATA) == output


def test_what_is_known_of_a_template() -> None:
    template = gotemplate.compile("<<.Series>>{<<$.LabelMatchers>>}", FIELDS)
    assert template.text == "<<.Series>>{<<$.LabelMatchers>>}"
    assert template.fields == tuple(FIELDS)
    assert template.fields_used == {"Series", "LabelMatchers"}
    assert template.plain
    assert not template.branches


@pytest.mark.parametrize(
    "text",
    [
        "<<if 1>><<end>>",
        "<<.>>",
        "<<$>>",
        "<<.LabelValuesByName.pod>>",
        "<<len .Series>>",
        "<<.Series | print>>",
        "<<$x := .Series>>",
        '<<"constant">>',
    ],
)
def test_what_is_not_plain(text: str) -> None:
    assert not gotemplate.compile(text, FIELDS).plain


def test_an_error_has_its_place() -> None:
    with pytest.raises(TemplateError) as caught:
        gotemplate.compile("sum(<<.Serie>>)", FIELDS)
    assert caught.value.offset == 6


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * (64 * 1024 + 1), "the template is longer than 65536 characters"),
        ('<<printf "%1000000000s" "x">>', "a width or precision above 65536"),
        ("<<.__class__>>", "unknown field"),
        ('<<define "x">><<template "x">><<end>>', "<<define>> is not supported"),
    ],
)
def test_what_is_refused_at_load(text: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        gotemplate.compile(text, FIELDS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<<range 100000>>x<<end>>", "takes more than 10000 steps"),
        ('<<range 100>><<printf "%1000s" "x">><<end>>', "longer than 65536 bytes"),
        ('<<$x := "ab">><<range 40>><<$x = print $x $x>><<end>>', "longer than 65536 bytes"),
        ("<<range 99999>><<range 99999>><<end>><<end>>", "takes more than 10000 steps"),
        (r'<<"\xff">>', "the output is no UTF-8"),
    ],
)
def test_what_is_refused_while_rendering(text: str, why: str) -> None:
    template = gotemplate.compile(text, FIELDS)
    with pytest.raises(TemplateError, match=why):
        template.render(DATA)
