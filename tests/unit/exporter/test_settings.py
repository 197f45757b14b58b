"""Defaults that promises hang on."""

from __future__ import annotations

from metrics_apiserver.exporter.settings import FAMILIES, Settings


def test_defaults() -> None:
    settings = Settings()
    assert settings.exposition.families == set(FAMILIES)
    assert settings.web.listen == (("", 9445),)
    assert settings.holders.attribution == "daemonset"
    assert not settings.sampling.processes, "the host's pid namespace is never assumed"
    assert not settings.exposition.fall_back_to_device, "a device's number is not a pod's"
    assert not settings.exposition.per_process
