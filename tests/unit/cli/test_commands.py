"""Which commands there are, and how failures are reported."""

from __future__ import annotations

import click
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.cli import commands, main, version


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.main(words)
    seen = capsys.readouterr()
    return code, seen.out, seen.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["/adapter", "--help"]])
def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    code, out, err = run(capsys, *words)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: metrics-apiserver ")
    for name in ("serve", *commands.MODULES):
        assert f"\n  {name} " in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(
    "words",
    ["check", "version", "completion", "certs issue", "certs publish", "certs inspect", "exporter"],
)
@pytest.mark.parametrize("help_word", ["--help", "-h"])
def test_every_command_has_its_help(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    help_word: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, *words.split(), help_word)
    assert (code, err) == (0, "")
    assert words.rpartition(" ")[2] in out
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["serv"], "No such command 'serv'. Did you mean 'serve'?"),
        (["chekc", "f"], "No such command 'chekc'. Did you mean 'check'?"),
        (["certs", "isue"], "No such command 'isue'. Did you mean 'issue'?"),
        (["xyzzy"], "No such command 'xyz…'."),
    ],
)
def test_an_unknown_command(
    capsys: pytest.CaptureFixture[str], words: list[str], advice: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.endswith(f"Error: {advice}\n")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (errors.KubeError("cannot be reached", kind="unreachable"), "cannot be reached\n"),
        (errors.KubeError("refused", kind="http", detail="why"), "refused (why)\n"),
        (FileNotFoundError(2, "No such file", "/x"), "/x: No such file\n"),
        (ConnectionRefusedError(111, "Connection refused"), "connection: Connection refused\n"),
        (TimeoutError("timed out"), "connection: timed out\n"),
        (click.Abort(), "stopped\n"),
        (KeyboardInterrupt(), "\nstopped\n"),
    ],
)
def test_a_failure_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    said: str,
) -> None:
    def fail(_parsed: object) -> int:
        raise failure

    monkeypatch.setattr(version.command, "_run", fail)
    assert run(capsys, "version") == (1, "", said)
