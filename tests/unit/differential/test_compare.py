"""Differences are found, and a row of the documentation explains only what it describes."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builds
from tests.differential import compare
from tests.differential.compare import WRAPPED, Row
from tests.differential.families import Family
from tests.differential.reads import Request
from tests.differential.rules import Rule
from tests.differential.styles import STYLES
from tests.e2e.harness.apiclient import Answer

RULE = Rule("rules", {}, ("depth",))
REPEATING = Rule("rules", {}, ("depth",), repeats=True)
EXTERNAL = Rule("externalRules", {}, ("depth",))


def item(name: str, value: str, **more: Any) -> dict[str, Any]:
    described = {"kind": "Pod", "namespace": "shop", "name": name, "apiVersion": "/v1"}
    return {
        "describedObject": described,
        "metricName": "depth",
        "timestamp": "2026-01-01T00:00:00Z",
        "value": value,
        **more,
    }


def values(*items: dict[str, Any]) -> Answer:
    body = {"kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta1"}
    return Answer(200, {}, {**body, "metadata": {}, "items": list(items)})


def status(code: int, message: str, reason: str = "NotFound") -> Answer:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "code": code}
    return Answer(code, {}, {**body, "message": message})


def rows(ours: Answer, peers: Answer, rule: Rule | None = RULE, *traits: str) -> list[Row | None]:
    request = Request("/any", rule, frozenset(traits))
    return [one.row for one in compare.differences(request, ours, peers)]


def test_every_row_stands_in_the_documentation() -> None:
    page = (builds.ROOT / "docs/compatibility.md").read_text()
    assert [row for row in Row if f"| {row.value} |" not in page] == []


def test_times_and_order_are_not_compared() -> None:
    ours = values(item("a", "1"), item("b", "2", timestamp="2027-01-01T00:00:00Z"))
    assert rows(ours, values(item("b", "2"), item("a", "1"))) == []


def test_numbers_that_differ_in_their_last_bits_are_equal() -> None:
    assert rows(values(item("a", "1000000000001m")), values(item("a", "1000000000"))) == []


@pytest.mark.parametrize(
    ("ours", "peers", "rule", "row"),
    [
        ("11", "10999m", RULE, Row.ROUNDING),
        ("-53", "-52999m", RULE, Row.ROUNDING),
        ("10999m", "11", RULE, None),
        ("11", "10998m", RULE, None),
        ("9", "4", RULE, None),
        ("9", "4", REPEATING, Row.REPEATED),
        ("4", "9", REPEATING, None),
        ("9223372036854775807m", WRAPPED, RULE, Row.MAGNITUDE),
        ("5", WRAPPED, RULE, None),
        ("5", WRAPPED, REPEATING, Row.REPEATED),
    ],
)
def test_a_row_explains_a_value(ours: str, peers: str, rule: Rule, row: Row | None) -> None:
    assert rows(values(item("a", ours)), values(item("a", peers)), rule) == [row]


def test_what_the_peer_wraps_may_be_left_out() -> None:
    ours, peers = values(item("a", "1")), values(item("a", "1"), item("b", WRAPPED))
    assert rows(ours, peers) == [Row.INFINITE]
    assert rows(ours, peers, EXTERNAL) == [Row.NAN]
    assert rows(status(404, ""), values(item("b", WRAPPED))) == [Row.INFINITE]


def test_an_infinite_value_may_be_the_largest_of_several() -> None:
    def repeating(value: str) -> Rule:
        style = STYLES["plain"]
        family = Family("depth", "gauge", style, (), (f'depth{{pod="a"}} {value}',))
        return Rule("rules", {}, ("depth",), family, repeats=True)

    ours, peers = values(item("a", "1")), values(item("a", "1"), item("b", "2"))
    assert rows(ours, peers, repeating("+Inf")) == [Row.INFINITE]
    assert rows(status(404, ""), peers, repeating("+Inf")) == [Row.INFINITE]
    assert rows(ours, peers, repeating("5")) == [None]
    assert rows(status(404, ""), peers, repeating("5")) == [None]


def test_only_a_query_for_all_namespaces_meets_namesakes() -> None:
    ignoring = Rule("rules", {}, ("depth",), repeats=True, ignores_namespace=True)
    ours, peers = values(item("a", "1")), values(item("a", "3"))
    assert rows(ours, peers, ignoring) == rows(values(), peers, ignoring) == [Row.NAMESAKE]
    assert rows(status(404, ""), peers, ignoring) == [Row.NAMESAKE]
    assert rows(peers, values(), ignoring) == [None]


def test_an_item_that_one_of_them_lacks_is_a_difference() -> None:
    one, both = values(item("a", "1")), values(item("a", "1"), item("b", "2"))
    assert rows(one, both) == [None]
    assert rows(both, one) == [None]
    assert rows(status(404, ""), both) == [None]


def test_a_number_in_another_place_than_a_value_must_be_the_same_text() -> None:
    ours, peers = (values(item("a", "1", windowSeconds=one)) for one in (60, 61))
    assert rows(ours, peers, REPEATING) == [None]


@pytest.mark.parametrize(
    ("trait", "codes", "row"),
    [
        ("malformed", (400, 500), Row.MALFORMED),
        ("malformed", (404, 500), None),
        ("not-equals", (200, 500), Row.NOT_EQUALS),
        ("comparison", (400, 404), Row.COMPARISON),
        ("label-name", (200, 500), Row.LABEL_NAME),
        ("capitals", (200, 404), Row.CAPITALS),
        ("set", (200, 500), None),
        ("", (400, 500), None),
    ],
)
def test_a_trait_of_the_request_explains_a_status(
    trait: str, codes: tuple[int, int], row: Row | None
) -> None:
    ours, peers = (status(code, "") for code in codes)
    assert rows(ours, peers, RULE, trait) == [row]


def test_a_refusal_of_prometheus_is_503() -> None:
    assert rows(status(503, "why"), status(500, "unable to fetch metrics")) == [Row.FAILED]
    assert rows(status(503, "why"), status(500, "something else")) == [None]


def test_a_message_may_go_on_and_nothing_else_may_differ() -> None:
    peers = status(404, "the server could not find the metric")
    assert rows(status(404, "the server could not find the metric: no sample"), peers) == []
    assert rows(status(404, "no sample"), peers) == [None]
    assert rows(status(404, peers.body["message"], "Gone"), peers) == [None]


def test_lists_of_metrics_are_sets() -> None:
    def listed(*names: str) -> Answer:
        found = [{"name": name, "verbs": ["get"]} for name in names]
        return Answer(200, {}, {"kind": "APIResourceList", "resources": found})

    assert rows(listed("pods/a", "pods/b"), listed("pods/b", "pods/a"), None) == []
    assert rows(listed("pods/a"), listed("pods/a", "pods/b"), None) == [None]
    assert rows(listed("pods/a"), Answer(200, {}, "text"), None) == [None]


def test_containers_are_compared_by_name() -> None:
    def usage(*containers: tuple[str, str]) -> Answer:
        found = [{"name": name, "usage": {"cpu": cpu}} for name, cpu in containers]
        pod = {"metadata": {"namespace": "shop", "name": "a"}, "containers": found}
        return Answer(200, {}, {"kind": "PodMetricsList", "items": [pod]})

    assert rows(usage(("x", "1"), ("y", "2")), usage(("y", "2"), ("x", "1"))) == []
    assert rows(usage(("x", "334m")), usage(("x", "333m"))) == [Row.ROUNDING]
    assert rows(usage(("x", "1")), usage(("x", "1"), ("y", "2"))) == [None]
