from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metrics_apiserver import __version__
from metrics_apiserver.cli import main
from tests.conformance import comparison

GOOD = str(comparison.rules_file("broad"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.main(words)
    seen = capsys.readouterr()
    return code, seen.out, seen.err


# --- commands ------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["/adapter", "--help"], ["check", "--help"]])
def test_help_shows_the_commands(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(capsys, *words) == (0, main.USAGE, "")


@pytest.mark.parametrize("words", [["serve", "--help"], ["serve", "--v=1", "-h"]])
def test_help_of_serve_shows_the_flags(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith(main.USAGE)
    assert "--prometheus-url string" in out


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_the_version(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(capsys, *words) == (0, f"metrics-apiserver {__version__}\n", "")


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "serv", "--config=x")
    assert (code, out) == (2, "")
    assert err == f"unknown command 'serv'\n\n{main.USAGE}"


def test_the_arguments_of_the_process_are_the_default() -> None:
    command = [sys.executable, "-m", "metrics_apiserver", "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"metrics-apiserver {__version__}\n"


# --- serve ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [[], ["serve"], ["/adapter"], ["/adapter", "serve"]])
def test_wrong_flags_of_serve_are_all_named(
    capsys: pytest.CaptureFixture[str], first: list[str]
) -> None:
    code, out, err = run(capsys, *first, "--konfig=x", "--secure-port=y")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "command line: --konfig: unknown flag; did you mean --config?",
        "command line: --secure-port: 'y' is no whole number",
    ]


def test_flags_that_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--tls-cert-file=/c", "--bind-address=here")
    assert code == 2
    assert len(err.splitlines()) == 3
    assert "command line: --config: no rule file: give --config=FILE" in err


@pytest.mark.parametrize("form", ["--config={}", "--config {}", "--config=other --config={}"])
@pytest.mark.parametrize("wrong", ["--konfig=x", "--metrics-relist-interval=1ms"])
def test_the_rule_file_of_wrong_flags_is_judged_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str, wrong: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("surprise: 1")
    code, _, err = run(capsys, *form.format(path).split(), wrong)
    assert code == 2
    assert f"{wrong.partition('=')[0]}: " in err
    assert f"{path}:1: unknown key surprise" in err
    path.write_text("")
    code, _, err = run(capsys, *form.format(path).split(), wrong)
    assert (code, str(path) in err) == (2, False)


@pytest.mark.parametrize("text", ["rules: [{unknown: 1}]", None])
def test_a_rule_file_that_cannot_be_used_ends_the_start(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "rules.yaml"
    if text is not None:
        path.write_text(text)
    command = [sys.executable, "-m", "metrics_apiserver", f"--config={path}", "--secure-port=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


# --- check ---------------------------------------------------------------------------------


def test_good_files(capsys: pytest.CaptureFixture[str]) -> None:
    seed = str(comparison.rules_file("seed"))
    code, out, _ = run(capsys, "check", GOOD, seed)
    assert code == 0
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        f"{GOOD}: good: 9 rules, 4 external rules, resource rules",
        f"{seed}: good: 2 rules, 0 external rules",
    ]
    assert lines[-2:] == ["  rules[0]: one query for all", "  rules[1]: one query for all"]
    assert any(line.startswith("  rules[4]: each read asks: ") for line in lines)


def test_every_fault_of_every_file_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad, missing = tmp_path / "bad.yaml", tmp_path / "missing.yaml"
    bad.write_text("rules:\n- one: 1\n- two: 2\n")
    code, out, err = run(capsys, "check", str(bad), str(missing), str(tmp_path), GOOD)
    assert code == 2
    assert out.startswith(f"{GOOD}: good")
    assert f"{bad}:2:" in err
    assert f"{bad}:3:" in err
    assert f"{missing}: cannot read the rule file: No such file or directory" in err
    assert f"{tmp_path}: cannot read the rule file: Is a directory" in err


def test_warnings_are_shown_and_are_no_fault(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    code, out, err = run(capsys, "check", str(empty))
    assert code == 0
    assert out == f"{empty}: good: 0 rules, 0 external rules\n"
    assert err.startswith(f"warning: {empty}")


@pytest.mark.parametrize("words", [[], ["--flag"], [GOOD, "--flag"]])
def test_check_needs_files(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(capsys, "check", *words) == (2, "", "usage: metrics-apiserver check FILE...\n")
