"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.exporter import flags


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
        "--gpu-uuids=a,,b",
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
    assert found.holders.gpu_uuids == ("a", "b")
    assert found.holders.resource_names == {"aliyun.com/gpu"}
    assert found.exposition.fall_back_to_device
    assert found.holders.socket == Path("/k/pod-resources/kubelet.sock")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--interval=10ms"], "between 100ms and 60s"),
        (["--interval=1d"], "no duration"),
        (["--window=x"], "no duration"),
        (["--families=pods,other"], "'other' is not one of"),
        (["--extra-label=a b=c"], "no label"),
        (["--web.listen-address=9445"], "no address"),
        (["--web.listen-address=:70000"], "no address"),
        (["--attribution=sidecar"], "needs POD_NAME and POD_NAMESPACE"),
        (["--unknown"], "unrecognized"),
        (["--fam=pods"], "unrecognized"),
    ],
)
def test_faults(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        flags.parse(words, {})
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_sidecar_tells_no_processes_apart(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"POD_NAME": "p", "POD_NAMESPACE": "ns"}
    words = ["--attribution=sidecar", "--processes"]
    with pytest.raises(SystemExit):
        flags.parse(words, environment)
    assert "--processes needs" in capsys.readouterr().err
