from __future__ import annotations

from unittest.mock import Mock

import pytest

from metrics_apiserver.cli import main
from metrics_apiserver.exporter import cli


@pytest.mark.parametrize("words", [[], ["--help"], ["-o", "--", "x", "--interval=1s"]])
def test_words_are_handed_on_unread(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    run = Mock(return_value=1)
    monkeypatch.setattr(cli, "main", run)
    assert main.main(["exporter", *words]) == 1
    run.assert_called_once_with(words)
