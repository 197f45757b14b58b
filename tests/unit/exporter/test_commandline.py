"""All faults at once."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.commandline import Parser, WrongFlags, read


@pytest.fixture
def parser() -> Parser:
    made = Parser(prog="p", allow_abbrev=False)
    made.add_argument("--number", type=int, default=0)
    made.add_argument("--kind", choices=("a", "b"), default="a")
    made.add_argument("--on", action="store_true")
    made.add_argument("--each", action="append", default=[])
    return made


def faults(parser: Parser, *words: str) -> tuple[str, ...]:
    with pytest.raises(WrongFlags) as wrong:
        read(parser, words)
    return wrong.value.faults


def test_values_beside_and_behind_their_flags(parser: Parser) -> None:
    found = read(parser, ["--number", "-3", "--kind=b", "--each=x", "--on", "--each", "y"])
    assert (found.number, found.kind, found.on, found.each) == (-3, "b", True, ["x", "y"])
    assert read(parser, []).each == []


def test_every_fault_is_named_in_order(parser: Parser) -> None:
    found = faults(
        parser,
        "stray",
        "--kind",
        "c",
        "--number=x",
        "after",
        "--other",
        "--kind=a",
        "--on",
        "more",
        "--each",
    )
    assert [one.partition(":")[0] for one in found] == [
        "unrecognized arguments",
        "--kind",
        "--number",
        "unrecognized arguments",
        "unrecognized arguments",
        "unrecognized arguments",
        "--each",
    ]
    assert "'c'" in found[1]
    assert "'x'" in found[2]
    assert [one.rpartition(" ")[2] for one in (found[0], *found[3:6])] == [
        "stray",
        "after",
        "--other",
        "more",
    ]
    assert found[6] == "--each: expected one argument"


def test_nothing_is_printed(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    faults(parser, "--kind=c")
    assert capsys.readouterr() == ("", "")


def test_help_ends(parser: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read(parser, ["--on", "--help"])
    assert end.value.code == 0
    assert "--number" in capsys.readouterr().out
