from __future__ import annotations

import json

import pytest

from metrics_apiserver import __version__
from metrics_apiserver.cli import main


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_for_people(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main.main(words) == 0
    assert capsys.readouterr() == (f"metrics-apiserver {__version__}\n", "")


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["version", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["version"]) == ("metrics-apiserver", __version__)
    assert found.keys() == {"name", "version", "python", "platform"}


def test_every_wrong_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["version", "-oyaml", "now"]) == 2
    output, argument = capsys.readouterr().err.splitlines()
    assert output.startswith("command line: --output: must be text or json")
    assert "unexpected argument 'now'" in argument
