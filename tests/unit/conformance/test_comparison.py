"""The comparison must neither excuse a wrong answer nor find fault with a right one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import comparison
from tests.conformance.comparison import Case


def case(body: Any, *, status: int = 200, tolerance: float = 0.0) -> Case:
    return Case("seed", "GET", "/apis/x", status, body, tolerance)


def item(name: str, value: str, timestamp: str = "2026-01-01T00:00:00Z") -> dict[str, object]:
    return {"describedObject": {"name": name}, "value": value, "timestamp": timestamp}


def test_times_are_not_compared() -> None:
    wanted = case({"items": [item("a", "1", "T")], "metadata": {"creationTimestamp": "T"}})
    got = {"items": [item("a", "1")], "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}
    assert comparison.differences(wanted, 200, got) == []


def test_a_missing_time_is_found() -> None:
    wanted = case({"timestamp": "T"})
    assert comparison.differences(wanted, 200, {}) == ["body.timestamp: missing, wanted 'T'"]


def test_lists_are_sets() -> None:
    wanted = case({"items": [item("a", "1"), item("b", "2")]})
    assert comparison.differences(wanted, 200, {"items": [item("b", "2"), item("a", "1")]}) == []


@pytest.mark.parametrize(
    "got",
    [
        [item("a", "1")],
        [item("a", "1"), item("b", "2"), item("b", "2")],
        [item("a", "1"), item("a", "1")],
        [item("a", "2"), item("b", "1")],
    ],
    ids=["one missing", "one twice", "one twice and one missing", "values exchanged"],
)
def test_sets_with_other_members_differ(got: list[dict[str, object]]) -> None:
    wanted = case({"items": [item("a", "1"), item("b", "2")]})
    assert comparison.differences(wanted, 200, {"items": got})


def test_quantities_are_text_without_a_tolerance() -> None:
    wanted = case({"value": "1500m"})
    assert comparison.differences(wanted, 200, {"value": "1.5"})


@pytest.mark.parametrize(("got", "same"), [("1500m", True), ("1.55", True), ("1.7", False)])
def test_quantities_are_numbers_with_a_tolerance(got: str, same: bool) -> None:
    wanted = case({"value": "1500m"}, tolerance=0.06)
    assert (comparison.differences(wanted, 200, {"value": got}) == []) is same


def test_words_are_never_within_a_tolerance() -> None:
    wanted = case({"name": "web-0"}, tolerance=0.5)
    assert comparison.differences(wanted, 200, {"name": "web-1"})


def test_a_type_is_part_of_a_value() -> None:
    assert comparison.differences(case({"namespaced": True}), 200, {"namespaced": 1})
    assert comparison.differences(case({"selector": None}), 200, {"selector": {}})


def test_the_status_code_is_compared_first() -> None:
    (found,) = comparison.differences(case({}, status=404), 200, {"items": []})
    assert found.startswith("status: wanted 404, got 200")


STATUS = {"kind": "Status", "reason": "NotFound", "message": "no such metric", "code": 404}


def test_a_message_may_go_on_and_further_keys_may_stand() -> None:
    got = {**STATUS, "message": "no such metric: look at the rules", "details": {}}
    assert comparison.differences(case(STATUS, status=404), 404, got) == []


@pytest.mark.parametrize(
    "got",
    [
        {**STATUS, "message": "no metric"},
        {**STATUS, "reason": "Gone"},
        {key: value for key, value in STATUS.items() if key != "reason"},
        "not found",
    ],
)
def test_a_status_must_have_what_is_wanted(got: object) -> None:
    assert comparison.differences(case(STATUS, status=404), 404, got)


def test_loopback_ports_are_those_of_the_machine() -> None:
    wanted = case({"serverAddress": "127.0.0.1:1"})
    assert comparison.differences(wanted, 200, {"serverAddress": "127.0.0.1:2"}) == []


@pytest.mark.parametrize(("file", "count"), [("cases.json", 58), ("cases-wild.json", 110)])
def test_every_case_is_loaded_and_agrees_with_itself(file: str, count: int) -> None:
    cases = comparison.load_cases(comparison.FOLDER / file)
    assert len(cases) == count
    for one in cases:
        assert comparison.differences(one, one.status, one.body) == [], str(one)
        assert comparison.rules_file(one.config).exists()
