"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.exporter import flags
from metrics_apiserver.exporter.commandline import WrongFlags


def test_defaults_and_the_downward_api() -> None:
    environment = {"NODE_NAME": "n", "POD_NAME": "p", "POD_NAMESPACE": "ns"}
    found = flags.parse([], environment)
    assert found.exposition.node == found.holders.node == "n"
    assert (found.holders.pod, found.holders.namespace) == ("p", "ns")
    assert found.holders.socket == Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    assert found.sampling.exit_without_driver_seconds is None


def test_all_kinds_of_values() -> None:
    words = [
        "--interval=500ms",
        "--window=2m",
        "--exit-without-driver-after=1h",
        "--families=pods,dcgm",
        "--collect=exp,ecc",
        "--extra-label=NodePoolId=np1",
        "--extra-label=PodSource=ecs=1",
        "--web.listen-address=127.0.0.1:1",
        "--web.listen-address=[::1]:2",
        "--resource-name=aliyun.com/gpu",
        "--shared-fallback=device",
        "--kubelet-root=/k",
    ]
    found = flags.parse(words, {})
    assert found.sampling.interval_seconds == 0.5
    assert found.sampling.window_seconds == 120
    assert found.sampling.exit_without_driver_seconds == 3600
    assert found.exposition.families == {"pods", "dcgm"}
    assert found.exposition.groups == {"exp", "ecc", "clocks"}, "exp counts clock events"
    assert found.exposition.extra_labels == {"NodePoolId": "np1", "PodSource": "ecs=1"}
    assert found.web.listen == (("127.0.0.1", 1), ("::1", 2))
    assert found.holders.resource_names == {"aliyun.com/gpu"}
    assert found.exposition.fall_back_to_device
    assert found.holders.socket == Path("/k/pod-resources/kubelet.sock")


SIDECAR = {"POD_NAME": "p", "POD_NAMESPACE": "ns"}


def test_the_gpus_of_a_sidecar() -> None:
    found = flags.parse(["--attribution=sidecar", "--gpu-uuids=a,,b"], SIDECAR)
    assert found.holders.gpu_uuids == ("a", "b")


def faults(*words: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(WrongFlags) as wrong:
        flags.parse(words, environment)
    return wrong.value.faults


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("--interval=10ms", "between 100ms and 60s"),
        ("--interval=1d", "no duration"),
        ("--window=x", "no duration"),
        ("--window=0s", "between 1s and 5m"),
        ("--families=pods,other", "'other' is not one of"),
        ("--label-style=mine", "invalid choice: 'mine'"),
        ("--extra-label=a b=c", "no label"),
        ("--extra-label=gpu=0", "the label gpu is taken"),
        ("--max-series=0", "no whole number from 1 on"),
        ("--web.listen-address=9445", "no address"),
        ("--web.listen-address=:70000", "no address"),
        ("--web.telemetry-path=metrics", "no path"),
        ("--attribution=sidecar", "needs POD_NAME and POD_NAMESPACE"),
        ("--gpu-uuids=a", "needs --attribution=sidecar"),
        ("--resource-slices", "needs NODE_NAME"),
        ("--unknown", "unrecognized"),
        ("--fam=pods", "unrecognized"),
    ],
)
def test_faults(word: str, complaint: str) -> None:
    (fault,) = faults(word)
    assert complaint in fault


def test_what_only_a_daemonset_can_do() -> None:
    words = ["--processes", "--resource-slices"]
    for mode in ("sidecar", "none"):
        found = faults(f"--attribution={mode}", *words, NODE_NAME="n", **SIDECAR)
        assert [one.partition(" ")[0] for one in found] == words


def test_all_faults_at_once() -> None:
    found = faults("--interval=x", "--families=y", "--web.listen-address", "z", "--max-series=-1")
    assert [one.partition(":")[0] for one in found] == [
        "--interval",
        "--families",
        "--web.listen-address",
        "--max-series",
    ]
