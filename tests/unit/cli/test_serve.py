"""The command line of the server, up to its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metrics_apiserver.cli import main, serve


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.main(words)
    seen = capsys.readouterr()
    return code, seen.out, seen.err


@pytest.mark.parametrize("words", [["serve", "--help"], ["serve", "--v=1", "-h"]])
def test_help_shows_the_flags(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert out.startswith(serve.USAGE)
    assert "--prometheus-url string" in out


@pytest.mark.parametrize("first", [[], ["serve"], ["/adapter"], ["/adapter", "serve"]])
def test_wrong_flags_are_all_named(capsys: pytest.CaptureFixture[str], first: list[str]) -> None:
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


@pytest.mark.parametrize(
    "form", ["--config={}", "--config {}", "-config={}", "--config=other --config={}"]
)
@pytest.mark.parametrize("wrong", ["--konfig=x", "--metrics-relist-interval=1ms"])
def test_the_rule_file_of_wrong_flags_is_validated_too(
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
