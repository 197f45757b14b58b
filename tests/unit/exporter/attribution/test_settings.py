"""Each mode of attribution has flags of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.exporter import flags
from metrics_apiserver.exporter.attribution.settings import AttributionSettings

SIDECAR = {"POD_NAME": "p", "POD_NAMESPACE": "ns"}


def test_the_gpus_of_a_sidecar() -> None:
    found = flags.parse(["--attribution=sidecar", "--gpu-uuids=a,,b"], SIDECAR)
    assert found.holders.gpu_uuids == ("a", "b")


def test_what_only_a_daemonset_can_do() -> None:
    words = ["--processes", "--resource-slices"]
    for mode in ("sidecar", "none"):
        with pytest.raises(ConfigError) as refused:
            flags.parse([f"--attribution={mode}", *words], {"NODE_NAME": "n", **SIDECAR})
        assert [one.path for one in refused.value.diagnostics] == words


def test_the_kubelet_s_socket_lies_under_its_root() -> None:
    assert AttributionSettings().socket == Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    found = flags.parse(["--kubelet-root=/k", "--host-proc=/host/proc"], {})
    assert found.holders.socket == Path("/k/pod-resources/kubelet.sock")
    assert found.holders.proc == Path("/host/proc")
