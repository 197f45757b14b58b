from __future__ import annotations

import pytest

from metrics_apiserver.core.bulk import proof
from metrics_apiserver.core.bulk.grouping import AddedLabel

SENTINEL = "__bulk__"
KEYS = frozenset({"namespace", "pod"})
S = '{namespace=~"a|b",pod!="",__bulk__=""}'
FUNCTIONS = """
abs ceil changes day_of_month day_of_week day_of_year days_in_month deg delta deriv exp floor hour
idelta increase irate ln log10 log2 minute month rad rate resets round sgn sqrt timestamp year
acos acosh asin asinh atan atanh cos cosh sin sinh tan tanh
avg_over_time count_over_time last_over_time max_over_time min_over_time present_over_time
stddev_over_time stdvar_over_time sum_over_time
histogram_avg histogram_count histogram_stddev histogram_stdvar histogram_sum
"""
OF_RANGES = {"changes", "delta", "deriv", "idelta", "increase", "irate", "rate", "resets"}
SUM = f"sum by (pod, namespace) (x{S})"


@pytest.mark.parametrize(
    "query",
    [
        f"x{S}",
        'x{a="1",__bulk__="1",namespace!="c"}',
        f"x{S} offset 5m",
        f"x{S} @ 1700000000",
        f"x{S} @ end() offset -1m",
        f"(-x{S})",
        f"rate(x{S}[5m])",
        f"ceil(avg_over_time(x{S}[3m]))",
        f"max_over_time(rate(x{S}[1m])[10m:1m])",
        f"max_over_time({SUM}[10m:1m] @ end())",
        f"quantile_over_time(0.9, x{S}[5m])",
        f"quantile_over_time(-(1 - 0.1), x{S}[5m])",
        f"clamp(x{S}, 0, 10 * 10)",
        f"predict_linear(x{S}[1h], 3600)",
        f"timestamp(x{S})",
        f"histogram_quantile(0.9, sum by (le, namespace, pod) (rate(x{S}[5m])))",
        f"histogram_fraction(0, 1, x{S})",
        f'label_replace(x{S}, "app", "$1", "pod", "(.*)-.*")',
        f'label_join(x{S}, "both", "/", "namespace", "pod")',
        SUM,
        f"sum(x{S}) by (namespace, pod, app)",
        f"sum without (app) (x{S})",
        f"avg without () (x{S})",
        f"topk by (namespace, pod) (3, x{S})",
        f"bottomk by (namespace, pod) ((3), x{S})",
        f"quantile by (namespace, pod) (0.5, x{S})",
        f'count_values by (namespace, pod) ("version", x{S})',
        f"x{S} * 100",
        f"100 - x{S}",
        f"x{S} / (1024 * 1024)",
        f"time() - x{S}",
        f"x{S} * pi()",
        f"x{S} > 5",
        f"x{S} > bool 5",
        f"{SUM} / {SUM}",
        f"{SUM} / on (pod, namespace) {SUM}",
        f"{SUM} / on (namespace, pod) group_left (app) {SUM}",
        f"x{S} / ignoring (app) y{S}",
        f"x{S} and y{S}",
        f"x{S} or on (namespace, pod) y{S}",
        f"x{S} unless ignoring (app) y{S}",
        f"x{S} atan2 y{S}",
        f"x{S} / on () group_left () sum(total)",
        f"x{S} * on () group_left (region) (limits offset 5m)",
        f"x{S} > bool on () group_left () scalar_like",
        f"sum(total) / on () group_right () x{S}",
        f"x{S} / on () group_left () absent(y)",
        f"x{S} # a comment",
    ],
)
def test_what_is_proved(query: str) -> None:
    assert proof.why_not(query, SENTINEL, KEYS) is None


@pytest.mark.parametrize("name", FUNCTIONS.split())
def test_functions_of_one_series(name: str) -> None:
    ranges = name.endswith("_over_time") or name in OF_RANGES
    assert proof.why_not(f"{name}(x{S}{'[5m]' if ranges else ''})", SENTINEL, KEYS) is None


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "the query does not parse"),
        ("x{", "the query does not parse"),
        ("x", "no selector takes the label matchers"),
        ("1", "no selector takes the label matchers"),
        ("sum by (namespace, pod) (x)", "no selector takes the label matchers"),
        ('"__bulk__"', "the label matchers stand where no selector is"),
        ("sum by (namespace, pod, __bulk__) (x)", "stand where no selector is"),
        ("x * on (__bulk__) y", "stand where no selector is"),
        ("x{a='__bulk__=\"\"'}", "inside a name or value"),
        (f'x{{a="__bulk__",{S[1:]}', "inside a name or value"),
        ("x__bulk__", "inside a name or value"),
        ('x{a="1" or __bulk__=""}', "a selector has alternatives"),
        (f"sum(x{S})", "sum puts all series together"),
        (f"sum by (pod) (x{S})", "sum by (pod) does not keep namespace, pod apart"),
        (f"sum by () (x{S})", "sum by () does not keep"),
        (f"sum without (pod) (x{S})", "sum without (pod) does not keep"),
        (f"topk(3, x{S})", "topk puts all series together"),
        (f"limitk by (namespace, pod) (3, x{S})", "limitk cannot be evaluated in bulk"),
        (f"topk by (namespace, pod) (scalar(y), x{S})", "the parameter of topk is no number"),
        (f"topk by (namespace, pod) (scalar(y{S}), x)", "the parameter of topk is no number"),
        (f'count_values by (namespace, pod) ("pod", x{S})', "count_values changes a label"),
        (f'count_values by (namespace, pod) (("pod"), x{S})', "of count_values is no number"),
        (f"absent(x{S})", "absent() cannot be evaluated in bulk"),
        (f"absent_over_time(x{S}[5m])", "absent_over_time() cannot be evaluated in bulk"),
        (f"scalar(x{S})", "scalar() cannot be evaluated in bulk"),
        (f"vector(scalar(x{S}))", "vector() cannot be evaluated in bulk"),
        (f"sort(x{S})", "sort() cannot be evaluated in bulk"),
        (f"sort_desc(x{S})", "sort_desc() cannot be evaluated in bulk"),
        (f"info(x{S})", "info() cannot be evaluated in bulk"),
        (f"clamp_max(x{S}, scalar(y))", "clamp_max() has a parameter that is no number"),
        (f"clamp_max(x, scalar(y{S}))", "scalar() cannot be evaluated in bulk"),
        (f'label_replace(x{S}, "pod", "$1", "app", "(.*)")', "label_replace() changes a label"),
        (f'label_replace(x{S}, ("app"), "$1", "pod", "(.*)")', "label_replace() changes a label"),
        (f'label_join(x{S}, "namespace", "-", "app")', "label_join() changes a label"),
        (f'label_join(x{S}, "app", "-", "__bulk__")', "inside a name or value"),
        (f"{SUM} / on (pod) {SUM}", "/ on (pod) does not keep namespace, pod apart"),
        (f"{SUM} / ignoring (pod) {SUM}", "/ ignoring (pod) does not keep"),
        (f"{SUM} * on (namespace, pod) group_left (a) fill (0) {SUM}", "* fills in values"),
        (f"{SUM} * on (namespace, pod) fill_left (0) {SUM}", "* fills in values"),
        (f"{SUM} * on (namespace, pod) fill_right (0) {SUM}", "* fills in values"),
        (f"{SUM} * on () group_left (pod) y", "* copies a label that tells answers apart"),
        (f"x{S} * y", "* joins a vector without the label matchers"),
        (f"x{S} * on () y", "* joins a vector without the label matchers"),
        (f"x{S} * on (namespace, pod) group_left () y", "* joins a vector without"),
        (f"x{S} * ignoring (a) group_left () y", "* joins a vector without"),
        (f"x{S} * on () group_right () y", "* joins a vector without"),
        (f"x * on () group_left () y{S}", "* joins a vector without"),
        (f"x{S} or vector(0)", "or joins a vector without"),
        (f"x{S} and on () y", "and joins a vector without"),
        (f"x{S} / scalar(sum(y))", "/ joins a vector without"),
        ("(" * 120 + f"x{S}" + ")" * 120, "nested more than 100 levels deep"),
        ("(" * 700 + "x" + ")" * 700, "more than 500 operators"),
    ],
)
def test_what_is_not_proved(query: str, why: str) -> None:
    reason = proof.why_not(query, SENTINEL, KEYS)
    assert reason is not None
    assert why in reason


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ((), "answers cannot be told apart by no label"),
        (("le", "pod"), "answers cannot be told apart by le, pod"),
        (("__name__",), "answers cannot be told apart by __name__"),
    ],
)
def test_labels_that_cannot_tell_answers_apart(keys: tuple[str, ...], why: str) -> None:
    assert proof.why_not(f"x{S}", SENTINEL, frozenset(keys)) == why


def test_one_label_may_be_enough() -> None:
    assert proof.why_not(f"sum by (node) (x{S})", SENTINEL, frozenset({"node"})) is None


ADDED = AddedLabel("namespace", "__added__")


@pytest.mark.parametrize(
    "query",
    [
        f"sum by (pod, __added__) (x{S})",
        f"sum by (pod, __added__) (x{S}) / on (pod, __added__) sum by (pod, __added__) (x{S})",
        f"sum by (pod, namespace) (x{S})",
    ],
)
def test_the_mark_of_the_added_label_stands_for_it(query: str) -> None:
    assert proof.why_not(query, SENTINEL, KEYS, ADDED) is None


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (f"sum by (pod) (x{S})", "sum by (pod) does not keep namespace, pod apart"),
        (f"sum without (__added__) (x{S})", "sum without (namespace) does not keep"),
        (f"x{S} / on (pod) sum by (pod, __added__) (y{S})", "/ on (pod) does not keep"),
        (f"x{S} / ignoring (__added__) y{S}", "/ ignoring (namespace) does not keep"),
        (f"x{S} * on (pod, namespace) group_left (__added__) y{S}", "copies a label"),
        # What only the other half of the proof sees.
        (
            f"sum by (pod, __added__) (x{S}) / sum by (pod, namespace) (y{S})",
            "one side of / lacks the label namespace in the exact query",
        ),
        (f"x{S} + sum by (pod, __added__) (y{S})", "lacks the label namespace in the exact query"),
    ],
)
def test_the_added_label_is_proved_too(query: str, why: str) -> None:
    reason = proof.why_not(query, SENTINEL, KEYS, ADDED)
    assert reason is not None
    assert why in reason
