from __future__ import annotations

import pytest

from metrics_apiserver.base import flags, settings
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options.commands import NoSettings, OutputSettings


def build(*words: str) -> OutputSettings:
    parsed = flags.parse(settings.table(OutputSettings), words)
    return settings.build(OutputSettings, parsed)


@pytest.mark.parametrize(
    ("words", "output"), [([], "text"), (["-o", "json"], "json"), (["--output=text"], "text")]
)
def test_the_output(words: list[str], output: str) -> None:
    assert build(*words).output == output


def test_everything_wrong_is_named() -> None:
    with pytest.raises(ConfigError) as refused:
        build("-oyaml", "--outputs", "now")
    assert [one.path for one in refused.value.diagnostics] == ["--output", "--outputs", "arguments"]


def test_no_flags() -> None:
    assert settings.table(NoSettings) == ()
