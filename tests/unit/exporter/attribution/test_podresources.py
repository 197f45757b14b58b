"""Kubelet responses; the allocations that follow from them are in the functional tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from metrics_apiserver.exporter.attribution.podresources import (
    ClaimedDevice,
    ContainerResources,
    KubeletUnavailable,
    PodResourcesClient,
    PodResourcesResponse,
)
from tests.fakes.kubelet import Claim, ContainerAllocation, Kubelet


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    with Kubelet(tmp_path) as made:
        yield made


def fetch(kubelet: Kubelet, *names: str) -> PodResourcesResponse:
    return PodResourcesClient(kubelet.socket, frozenset(names)).fetch()


def test_containers_and_slots(kubelet: Kubelet) -> None:
    kubelet.allocatable = {
        "nvidia.com/gpu": ["GPU-a::0", "GPU-a::1", "GPU-b"],
        "nvidia.com/mig-1g.10gb": ["MIG-c"],
        "intel.com/fpga": ["f"],
    }
    kubelet.allocate(
        ContainerAllocation("one", ("GPU-a::0",), "ai", "server"),
        ContainerAllocation("one", ("MIG-c",), "ai", "side", "nvidia.com/mig-1g.10gb"),
        ContainerAllocation("two", ("f",), resource="intel.com/fpga"),
    )
    assert fetch(kubelet) == PodResourcesResponse(
        (
            ContainerResources("ai", "one", "server", ("GPU-a::0",)),
            ContainerResources("ai", "one", "side", ("MIG-c",)),
        ),
        {"GPU-a": 2, "GPU-b": 1, "MIG-c": 1},
    )
    assert fetch(kubelet, "intel.com/fpga").containers[-1] == ContainerResources(
        "default", "two", "server", ("f",)
    )


def test_claims(kubelet: Kubelet) -> None:
    kubelet.allocate(
        ContainerAllocation(
            "one", claims=(Claim("gpu-0", cdi=("a=b", "c=d")), Claim("x", driver="other"))
        )
    )
    (resources,) = fetch(kubelet).containers
    assert resources.claimed == (ClaimedDevice("node-1", "gpu-0", ("a=b", "c=d")),)


def test_a_kubelet_without_allocatable(kubelet: Kubelet) -> None:
    kubelet.has_allocatable = False
    assert fetch(kubelet) == PodResourcesResponse((), None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate_limited"),
        (grpc.StatusCode.UNAVAILABLE, "socket"),
        (grpc.StatusCode.INTERNAL, "rpc"),
    ],
)
def test_refusals(kubelet: Kubelet, status: grpc.StatusCode, reason: str) -> None:
    kubelet.failure = status
    with pytest.raises(KubeletUnavailable, match=status.name) as refused:
        fetch(kubelet)
    assert refused.value.reason == reason


def test_a_missing_socket(tmp_path: Path) -> None:
    with pytest.raises(KubeletUnavailable) as refused:
        PodResourcesClient(tmp_path / "kubelet.sock").fetch()
    assert refused.value.reason == "socket"


def test_a_kubelet_restart(kubelet: Kubelet) -> None:
    client = PodResourcesClient(kubelet.socket)
    kubelet.allocate(ContainerAllocation("one", ("GPU-a",)))
    assert client.fetch().containers
    kubelet.stop()
    with pytest.raises(KubeletUnavailable):
        client.fetch()
    kubelet.start()
    assert client.fetch().containers


@pytest.mark.parametrize(
    "allocated",
    [
        [ContainerAllocation("one", tuple(f"GPU-{n}" for n in range(70_000)))],
        [ContainerAllocation("one", ("GPU-a",), container=f"c{n}") for n in range(17_000)],
    ],
    ids=["ids", "containers"],
)
def test_more_devices_than_a_node_can_have(
    kubelet: Kubelet, allocated: list[ContainerAllocation]
) -> None:
    kubelet.allocate(*allocated)
    with pytest.raises(KubeletUnavailable, match="more than") as refused:
        fetch(kubelet)
    assert refused.value.reason == "decode"


def test_more_slots_than_a_node_can_have(kubelet: Kubelet) -> None:
    kubelet.allocatable = {"nvidia.com/gpu": [f"GPU-a::{n}" for n in range(70_000)]}
    with pytest.raises(KubeletUnavailable, match="more than"):
        fetch(kubelet)


@pytest.mark.parametrize("garbage", [bytes(17 << 20), b"\x0a\x00" * (8 << 20)])
def test_a_response_above_the_size_limit(kubelet: Kubelet, garbage: bytes) -> None:
    kubelet.garbage = garbage
    with pytest.raises(KubeletUnavailable) as refused:
        fetch(kubelet)
    assert refused.value.reason in ("too_large", "decode"), "and not a rate limit"


def test_a_kubelet_with_a_disabled_feature_gate(kubelet: Kubelet) -> None:
    """It has the method and answers every call with an error."""
    kubelet.allocate(ContainerAllocation("one", ("GPU-a",)))
    kubelet.failures = {"GetAllocatableResources": grpc.StatusCode.UNKNOWN}
    assert fetch(kubelet) == PodResourcesResponse(
        (ContainerResources("default", "one", "server", ("GPU-a",)),), None
    )
    kubelet.failures = {"GetAllocatableResources": grpc.StatusCode.RESOURCE_EXHAUSTED}
    with pytest.raises(KubeletUnavailable):
        fetch(kubelet)
