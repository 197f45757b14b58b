"""The scripts, and what the shells are given by them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metrics_apiserver.cli import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main.main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert f"{main.COMPLETION_VARIABLE}={shell}_complete" in out
    assert "metrics-apiserver" in out


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_one_shell_is_named(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main.main(["completion", *words]) == 2
    expected = "command line: arguments: name one shell: bash, zsh, fish\n"
    assert capsys.readouterr().err == expected


def test_the_help_says_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["completion", "--help"], ["--help"]):
        assert main.main(words) == 0
        assert "source <(metrics-apiserver completion bash)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("", {"plain,serve", "plain,check", "plain,certs", "plain,version"}),
        ("che", {"plain,check"}),
        ("serve --prometheus-u", {"plain,--prometheus-url"}),
        ("check --out", {"plain,--output"}),
        ("check --output j", {"plain,json"}),
        ("certs publish --rotate=", {"plain,pair", "plain,authority"}),
        ("serve --config ru", {"file,ru"}),
        ("check ", {"file,"}),
        ("check --output=json --fil x rules", {"file,rules"}),
        ("certs ", {"plain,issue", "plain,publish", "plain,inspect"}),
        ("certs publish --rot", {"plain,--rotate"}),
        ("exporter --web.", {"plain,--web.listen-address", "plain,--web.telemetry-path"}),
        ("exporter --attribution s", {"plain,sidecar"}),
        ("completion ", {"plain,bash", "plain,zsh", "plain,fish"}),
        ("nonsense ", {"plain,serve"}),
    ],
)
def test_what_a_shell_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, among: set[str]
) -> None:
    words = f"metrics-apiserver {line}".split(" ")
    monkeypatch.setenv(main.COMPLETION_VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 0
    assert among <= set(capsys.readouterr().out.splitlines())


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_in_bash() -> None:
    installed = Path(sys.executable).with_name("metrics-apiserver")
    program = (
        f'eval "$({installed} completion bash)"\n'
        "COMP_WORDS=(metrics-apiserver certs is) COMP_CWORD=2\n"
        f"_metrics_apiserver_completion {installed}\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "issue\n"
