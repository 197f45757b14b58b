"""Defaults that promises hang on."""

from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.exporter import flags
from metrics_apiserver.exporter.settings import FAMILIES, ExporterSettings


def test_defaults() -> None:
    settings = ExporterSettings()
    assert settings.exposition.families == set(FAMILIES)
    assert settings.web.listen == (("", 9445),)
    assert settings.holders.attribution == "daemonset"
    assert not settings.sampling.processes, "the host's pid namespace is never assumed"
    assert not settings.exposition.fall_back_to_device, "a device's number is not a pod's"
    assert not settings.exposition.per_process


@pytest.mark.parametrize(
    ("text", "expected"), [("15", 15), ("1.5s", 1.5), ("250ms", 0.25), ("2m", 120), ("1h", 3600)]
)
def test_durations(text: str, expected: float) -> None:
    assert flags.parse([f"--settle={text}"], {}).sampling.settle_seconds == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1 s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ConfigError, match="--settle"):
        flags.parse([f"--settle={text}"], {})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("interval", ("100ms", "60s"), ("99ms", "61s")),
        ("window", ("1s", "5m"), ("0s", "999ms", "301s")),
        ("max-series", ("1", "50000"), ("0", "-1", "1.5", "", "x")),
    ],
)
def test_numbers_have_bounds(name: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    for text in good:
        flags.parse([f"--{name}={text}"], {})
    for text in bad:
        with pytest.raises(ConfigError, match=f"--{name}"):
            flags.parse([f"--{name}={text}"], {})
