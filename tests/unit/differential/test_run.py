"""What a run counts and prints, and that a command line without a peer is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import builds
from tests.differential.compare import Difference, Row
from tests.differential.reads import Request
from tests.differential.rules import Rule
from tests.differential.run import Pair, Report
from tests.e2e.harness.apiclient import Answer

ANSWERS = Pair(Answer(200, {}, {"value": "7"}), Answer(200, {}, {"value": "5"}))
REQUEST = Request("/apis/asked", Rule("rules", {"seriesQuery": "depth"}, ("depth",)))


def test_each_request_is_counted_once_by_its_worst_difference() -> None:
    lines: list[str] = []
    report = Report(lines.append)
    explained = Difference("value", "11", "10999m", Row.ROUNDING)
    for found in ([], [], [explained, explained], [explained, Difference("value", "7", "5")]):
        report.add("round 1", REQUEST, ANSWERS, found)
    assert str(report) == "2 equal, 1 documented, 1 different"


def test_answers_with_values_are_counted() -> None:
    lines: list[str] = []
    report = Report(lines.append)
    report.add("round 1", REQUEST, ANSWERS, [])
    assert report.lists_with_items == 0
    listed = Answer(200, {}, {"items": [{"value": "7"}]})
    report.add("round 1", REQUEST, Pair(listed, listed), [])
    assert report.lists_with_items == 1


def test_a_difference_is_printed_with_request_rule_and_both_answers() -> None:
    lines: list[str] = []
    Report(lines.append).add("round 1", REQUEST, ANSWERS, [Difference("value", "7", "5")])
    text = "\n".join(lines)
    for part in ("DIFFERENT", "GET /apis/asked", '"seriesQuery": "depth"', '"7"', '"5"'):
        assert part in text


def test_an_explained_difference_names_its_row() -> None:
    lines: list[str] = []
    explained = Difference("value", "11", "10999m", Row.ROUNDING)
    Report(lines.append).add("round 1", REQUEST, ANSWERS, [explained])
    assert "documented: Rounding to milli" in lines[1]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("environment", "said"),
    [({}, "PEER is not set"), ({"PEER": "x", "ROUNDS": "many"}, "ROUNDS=many: a whole number")],
)
def test_a_wrong_command_line_is_refused_before_anything_starts(
    environment: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.differential"],
        cwd=builds.ROOT,
        env={"PATH": "/nowhere", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
