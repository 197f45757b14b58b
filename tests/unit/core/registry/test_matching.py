import pytest

from metrics_apiserver.core import converter, naming
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import NODES, PODS, MappedResource, Series
from metrics_apiserver.core.naming import MetricNamer
from metrics_apiserver.core.registry import matching
from metrics_apiserver.core.registry.matching import RuleMatch
from metrics_apiserver.core.restmapper import RESTMapper


def namer(matches: str = "", template: str = "") -> MetricNamer:
    pattern = naming.compile_regex(matches) if matches else None
    return MetricNamer((), pattern, template or naming.default_template(pattern))


def series(name: str, *labels: str) -> Series:
    return Series(name, frozenset(labels))


CONVERTER = ResourceConverter(
    converter.compile_mapping("<<.Resource>>", ()),
    RESTMapper(
        [
            MappedResource("", "v1", "nodes", "node", "Node", False),
            MappedResource("", "v1", "pods", "pod", "Pod", True),
        ]
    ),
)


def match_series(rule: MetricNamer, *items: Series) -> RuleMatch:
    found = matching.match_series(rule, matching.group_by_name(items), CONVERTER)
    backwards = matching.group_by_name(items[::-1])
    assert matching.match_series(rule, backwards, CONVERTER) == found
    return found


def test_groups() -> None:
    groups = matching.group_by_name(
        [series("a", "x", "y"), series("b"), series("a", "y", "z"), series("a", "y")]
    )
    assert groups.keys() == {"a", "b"}
    assert len(groups["a"].label_sets) == 3
    assert groups["a"].seen == {"x", "y", "z"}
    assert groups["a"].shared == {"y"}
    assert groups["b"].seen == groups["b"].shared == frozenset()


def test_each_resource_of_a_series_gets_the_metric() -> None:
    found = match_series(
        namer("^gpu_(.*)"),
        series("gpu_power", "pod", "node"),
        series("gpu_power", "node", "x"),
        series("gpu_memory", "pod"),
        series("cpu", "pod"),
    )
    assert found.sources == {
        (NODES, "power"): "gpu_power",
        (PODS, "power"): "gpu_power",
        (PODS, "memory"): "gpu_memory",
    }
    assert found.accepted == 3
    assert not found.unassociated.number
    assert not found.collided


def test_series_without_a_resource_are_counted() -> None:
    found = match_series(
        namer(),
        series("z", "job"),
        series("a", "job"),
        series("m"),
        series("p", "pod"),
        series("p", "job"),
        series("p", "node", "x"),
    )
    assert found.sources == {(PODS, "p"): "p", (NODES, "p"): "p"}
    assert (found.unassociated.number, found.unassociated.example) == (4, "a")
    assert found.accepted == 6


def test_of_two_series_for_one_metric_the_last_by_name_stays() -> None:
    found = match_series(
        namer(template="one"),
        series("b", "pod"),
        series("c", "pod", "node"),
        series("a", "pod"),
        series("a", "pod", "x"),
    )
    assert found.sources == {(PODS, "one"): "c", (NODES, "one"): "c"}
    assert found.collided == {(PODS, "one")}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "50%"])
def test_names_that_no_path_can_carry(name: str) -> None:
    assert not matching.is_reachable(name)
    pattern = naming.compile_regex("^up$")
    rule = MetricNamer((), pattern, name)
    found = match_series(rule, series("up", "pod"))
    assert found.sources == {}
    assert (found.unnameable.number, found.unnameable.example) == (1, "up")


@pytest.mark.parametrize("name", ["a", "a.b", "job:rate5m", "é", "...", "a b", "metrics"])
def test_reachable_names(name: str) -> None:
    assert matching.is_reachable(name)


def test_external_metrics_belong_to_no_resource() -> None:
    groups = matching.group_by_name([series("q", "queue"), series("q")])
    found = matching.match_series(namer(), groups, None)
    assert found.sources == {(None, "q"): "q"}
    assert found.accepted == 2
