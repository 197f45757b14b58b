from __future__ import annotations

import pytest

from metrics_apiserver.core import promql
from metrics_apiserver.core.bulk import grouping
from metrics_apiserver.core.bulk.grouping import AddedLabel

X = 'x{m="1",__objects__=""}'  # carries the sentinel
Y = 'y{m="1",__objects__=""}'
GROUP = "pod,__group__"  # GroupBy; __group__ stands where the bulk query has the namespace label


def why_not(query: str) -> str | None:
    return grouping.why_not(promql.parse(query), "__objects__", AddedLabel("ns", "__group__"))


@pytest.mark.parametrize(
    "query",
    [
        X,
        "free",
        f"({X})",
        f"-{X}",
        f"rate({X}[3m])".replace("}[", "}["),
        f"sum by ({GROUP}) ({X})",
        f"sum by (pod, ns) ({X})",
        f"max by ({GROUP}) (sum by ({GROUP}, q) ({X}))",
        f"sum without (instance) ({X})",
        f"sum({X})",
        f"topk by ({GROUP}) (3, {X})",
        f"topk by ({GROUP}) (3, {X}) / on ({GROUP}) group_left () sum by ({GROUP}) ({Y})",
        f"quantile by ({GROUP}) (0.9, {X})",
        f"max_over_time(sum by ({GROUP}) (rate({X}[1m]))[5m:1m])",
        f"sum by ({GROUP}) ({X}) * 100",
        f"1 - sum by ({GROUP}) ({X})",
        f"sum by ({GROUP}) ({X}) * (1 + 2)",
        f"sum by ({GROUP}) ({X}) * -1",
        f"sum by ({GROUP}) ({X}) * scalar(sum(free))",
        f"sum by ({GROUP}) ({X}) > bool 3",
        f"sum by ({GROUP}) ({X}) / sum by ({GROUP}) ({Y})",
        f"sum by ({GROUP}) ({X}) / on ({GROUP}) sum by ({GROUP}) ({Y})",
        f"{X} / {Y}",
        f"{X} / ignoring (q) {Y}",
        f"{X} / on (pod, ns) {Y}",
        f"{X} / on ({GROUP}) sum by ({GROUP}) ({Y})",
        f"{X} * on ({GROUP}) group_left () sum by ({GROUP}) ({Y})",
        f"sum by ({GROUP}) ({Y}) * on ({GROUP}) group_right () {X}",
        f"({X} * on ({GROUP}) group_left () sum by ({GROUP}) ({Y})) / {Y}",
        f"{Y} / (sum by ({GROUP}) ({Y}) * on ({GROUP}) group_right () {X})",
        f"sum by ({GROUP}) ({X}) and on ({GROUP}) {Y}",
        f"{X} unless on ({GROUP}) sum by ({GROUP}) ({Y})",
        f"sum by ({GROUP}) ({X}) or sum by ({GROUP}) ({Y})",
        f"sum by ({GROUP}) ({X}) or on ({GROUP}) sum by ({GROUP}) ({Y})",
        f"sum by ({GROUP}) ({X}) / on () group_left () sum(free)",
        f"sum(free) * on () group_right () sum by ({GROUP}) ({X})",
        f"{X} * on (node) group_left () free",
        f"{X} * on (ns) group_left () free",
        f"{X} and free",
        f"sum by ({GROUP}) ({X}) and on (pod) free",
        f'label_replace(sum by ({GROUP}) ({X}), "a", "$1", "pod", "(.*)")',
        f'label_replace({X}, "a", "$1", "ns", "(.*)")',
        f'label_join(sum by ({GROUP}) ({X}), "a", "-", "pod", "q")',
        f"histogram_quantile(0.9, sum by ({GROUP}, le) (rate({X}[1m])))",
        f"clamp_max(sum by ({GROUP}) ({X}), 3)",
        f'count_values by ({GROUP}) ("v", {X})',
    ],
)
def test_the_namespace_shows_nowhere(query: str) -> None:
    assert why_not(query) is None


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (f"sum by ({GROUP}) ({X}) / sum by (pod, ns) ({Y})", "lacks the label ns"),
        (f"sum by ({GROUP}) ({X}) / {Y}", "lacks the label ns"),
        (f"{X} / ignoring (q) sum by ({GROUP}) ({Y})", "lacks the label ns"),
        (f"sum by ({GROUP}) ({X}) / on (pod, ns) {Y}", "lacks the label ns"),
        (f"sum by ({GROUP}) ({X}) and {Y}", "lacks the label ns"),
        (f"{X} or on ({GROUP}) sum by ({GROUP}) ({Y})", "one side of or lacks"),
        (
            f"({X} * on ({GROUP}) group_left () sum by ({GROUP}) ({Y})) / sum by ({GROUP}) ({Y})",
            "lacks the label ns",
        ),
        (
            f"({X} / on ({GROUP}) sum by ({GROUP}) ({Y})) / {Y}",
            "lacks the label ns",
        ),
        (
            f"sum by ({GROUP}) ({X}) / on () group_left () count(count by ({GROUP}) (free))",
            "not about the objects",
        ),
        (f"{X} * on ({GROUP}) group_left () free", "on (...) uses GroupBy"),
        (f"sum by ({GROUP}) ({X}) * on (ns) group_left () free", "compares the label ns"),
        (f"sum by ({GROUP}) ({X}) and free", "compares the label ns"),
        (f"sum by ({GROUP}) ({X}) / ignoring (q) group_left () free", "compares the label ns"),
        (f"free and on (pod) {X}", "left side of and is not about"),
        (f"free or on (pod) {X}", "left side of or is not about"),
        (f"{X} * on (pod, ns) group_left (__group__) {Y}", "group_left or group_right"),
        (f"{X} * on ({GROUP}) group_left (ns) {Y}", "group_left or group_right"),
        (f"{X} / ignoring ({GROUP}) {Y}", "ignoring (...) names"),
        (f"{X} / ignoring (ns) {Y}", "ignoring (...) names"),
        (f"sum without ({GROUP}) ({X})", "without (...) names"),
        (f"sum without (ns) ({X})", "without (...) names"),
        (f"topk by ({GROUP}) (scalar(sum({Y})), {X})", "the parameter of topk"),
        (f"clamp_max({X}, scalar({Y}))", "two arguments"),
        ('x{m="1",__objects__="",group="pod,__group__"}', "in a series selector"),
        ('rate(x{m="1",__objects__="",group="pod,__group__"}[1m])', "in a series selector"),
        (f'label_replace({X}, "a", "pod,__group__", "q", "(.*)")', "not about the objects"),
        (
            f'label_replace(sum by ({GROUP}) ({X}), "a", "$1", "ns", "(.*)")',
            "label_replace reads the label ns",
        ),
        (
            f'label_join(sum by ({GROUP}) ({X}), "a", "-", "pod", "ns")',
            "label_join reads the label ns",
        ),
        (
            f'label_join(sum by ({GROUP}) ({X}), "a", "-", "ns", "pod")',
            "label_join reads the label ns",
        ),
        (
            f'label_join(sum by ({GROUP}) ({X}), "a", "-", "pod", "ns", "q")',
            "label_join reads the label ns",
        ),
    ],
)
def test_the_namespace_shows(query: str, why: str) -> None:
    reason = why_not(query)
    assert reason is not None
    assert why in reason
