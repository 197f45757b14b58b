"""What is printed where, and in what form."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.certs.inspection import InspectionLine
from metrics_apiserver.cli import output


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")


def lines(printed: str) -> list[str]:
    return [line.rstrip() for line in click.unstyle(printed).splitlines()]


def test_results_and_remarks_are_kept_apart(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("a")
    output.remark("b")
    output.write_manifests([{"kind": "A", "b": 1}, {"kind": "B"}])
    output.write_json({"a": ["\u00fc"]})
    assert capsys.readouterr() == (
        'a\n---\nkind: A\nb: 1\n---\nkind: B\n{\n  "a": [\n    "\u00fc"\n  ]\n}\n',
        "b\n",
    )


def test_bad_findings_stand_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_inspection("x", [InspectionLine("a", "b"), InspectionLine("c", "d", good=False)])
    assert capsys.readouterr().out == "x:\n  a         b\n  c         BAD: d\n"


@pytest.mark.usefixtures("terminal")
def test_an_inspection_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 10
    output.write_inspection(
        "x[red]", [InspectionLine("about", long), InspectionLine("c", "\x1b[2J", good=False)]
    )
    assert lines(capsys.readouterr().out) == [
        "x[red]:",
        "  about  word word word word word word",
        "         word word word word",
        "  c      BAD: \ufffd[2J",
    ]


def test_diagnostics_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_diagnostic(Diagnostic("is wrong", "rules[0]", 3, 5), "f.yaml")
    output.write_diagnostic(Diagnostic("is odd", severity="warning"), "f.yaml")
    assert capsys.readouterr() == ("", "f.yaml:3: rules[0]: is wrong\nwarning: f.yaml: is odd\n")


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("diagnostic", "shown"),
    [
        (Diagnostic("is wrong"), ["f.yaml: error: is wrong"]),
        (
            Diagnostic("is wrong", "rules[0]", 2, 3, code="MA101", cure="Correct it."),
            [
                "f.yaml:2:3: error[MA101]: rules[0]: is wrong",
                "    2 |  b: \ufffd",
                "      |   ^",
                "  Correct it.",
            ],
        ),
        (
            Diagnostic("is odd", line=4, severity="warning"),
            ["f.yaml:4: warning: is odd", "    4 | \u6f22\u5b57: x"],
        ),
        (
            Diagnostic("x", line=4, column=3),
            ["f.yaml:4:3: error: x", "    4 | \u6f22\u5b57: x", "      |     ^"],
        ),
        (Diagnostic("x", line=9, column=3), ["f.yaml:9:3: error: x"]),
    ],
)
def test_diagnostics_on_a_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    diagnostic: Diagnostic,
    shown: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.yaml").write_bytes("a: 1\r\n\tb: \x1b\n# one\u2028\u6f22\u5b57: x".encode())
    output.write_diagnostic(diagnostic, "f.yaml")
    assert lines(capsys.readouterr().err) == shown


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("column", [1, 10, 100, 300, 301])
def test_of_a_long_line_the_part_around_the_caret_is_shown(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    column: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "x" * (column - 1) + "Y" + "x" * (300 - column)
    Path("f.yaml").write_text(text)
    output.write_diagnostic(Diagnostic("is wrong", line=1, column=column), "f.yaml")
    _, line, caret = lines(capsys.readouterr().err)
    assert len(line) <= 40
    assert line[caret.index("^")] == "Y"


def test_a_file_that_has_gone_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output.write_diagnostic(Diagnostic("is wrong", line=1), "/absent/file")
    assert len(capsys.readouterr().err.splitlines()) == 1
