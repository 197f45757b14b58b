"""Client of the kubelet's pod-resources service: device IDs that are allocated to each container.

Only the three messages that are needed are decoded, by field number (k8s.io/kubelet,
podresources/v1/api.proto). A kubelet that serves only v1alpha1 is supported. The kubelet allows all
clients together 100 calls per second, so it is polled rarely; each refresh makes two calls.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from metrics_apiserver.exporter.attribution import wire
from metrics_apiserver.exporter.attribution.deviceids import base_of

_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 16 << 20
_MAX_CONTAINERS = 16_384  # on one node; a kubelet never lists more
_MAX_IDS = 65_536
_OPTIONS = (
    # grpc-core would send the socket's escaped path as :authority, which strict servers refuse.
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", _MAX_BYTES),
    ("grpc.enable_http_proxy", 0),
    # Channels otherwise share connections, and with them the backoff of one that just failed.
    ("grpc.use_local_subchannel_pool", 1),
)
_SERVICES = ("v1.PodResourcesLister", "v1alpha1.PodResourcesLister")
_NVIDIA = ("nvidia.com/gpu", "nvidia.com/gpu.shared")
_NVIDIA_MIG = "nvidia.com/mig-"
DRA_DRIVER = "gpu.nvidia.com"


class KubeletUnavailable(Exception):
    """The kubelet gave no usable response.

    Attributes:
        reason: value of a metric label.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ClaimedDevice:
    """A device that is allocated to a container by a ResourceClaim."""

    pool: str
    device: str
    cdi_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerResources:
    """The devices that are allocated to one container."""

    namespace: str
    pod: str
    container: str
    device_ids: tuple[str, ...] = ()
    claimed: tuple[ClaimedDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class PodResourcesResponse:
    """The result of one refresh.

    Attributes:
        containers: containers with GPUs.
        slots: base device ID -> number of IDs that the plugin advertises for it; None if the
            kubelet does not report them.
    """

    containers: tuple[ContainerResources, ...]
    slots: Mapping[str, int] | None


class PodResourcesClient:
    """Calls the kubelet on a new connection each time, since a kubelet recreates its socket.

    Args:
        socket: of the pod-resources service.
        resource_names: GPU resources beside those of NVIDIA.
    """

    def __init__(self, socket: Path, resource_names: frozenset[str] = frozenset()) -> None:
        self._target = f"unix:{socket}"
        self._names = resource_names | frozenset(_NVIDIA)
        self._service = _SERVICES[0]

    def fetch(self) -> PodResourcesResponse:
        """The current allocations; blocks for up to two timeouts.

        Raises:
            KubeletUnavailable: no socket, no service, rate limited, or not decodable.
        """
        with grpc.insecure_channel(self._target, options=_OPTIONS) as channel:
            listed = self._list(channel)
            try:
                allocatable = self._call(channel, "GetAllocatableResources")
            except grpc.RpcError as error:
                # Kubelets return UNKNOWN if the feature gate of the method is disabled.
                if _code(error) not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN):
                    raise _unavailable(error) from None
                allocatable = None
        try:
            containers = _bounded(self._containers(listed))
            slots = None if allocatable is None else self._slots(allocatable)
        except wire.DecodeError as fault:
            raise KubeletUnavailable(
                "decode", f"the kubelet's response does not parse: {fault}"
            ) from None
        return PodResourcesResponse(containers, slots)

    def _list(self, channel: grpc.Channel) -> bytes:
        for service in (self._service, *_SERVICES):
            try:
                response = self._call(channel, "List", service)
            except grpc.RpcError as error:
                if _code(error) is not grpc.StatusCode.UNIMPLEMENTED:
                    raise _unavailable(error) from None
            else:
                self._service = service
                return response
        raise KubeletUnavailable("unimplemented", "the kubelet serves no pod resources")

    def _call(self, channel: grpc.Channel, method: str, service: str | None = None) -> bytes:
        ask: Callable[..., bytes] = channel.unary_unary(
            f"/{service or self._service}/{method}",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        return ask(b"", timeout=_TIMEOUT_SECONDS)

    def _is_gpu(self, resource: str) -> bool:
        return resource in self._names or resource.startswith(_NVIDIA_MIG)

    def _slots(self, data: bytes) -> dict[str, int]:
        """AllocatableResourcesResponse: devices=1."""
        ids = (
            device
            for number, content in wire.fields(data)
            if number == 1
            for device in self._device_ids(content)
        )
        found = Counter(base_of(device) for device in itertools.islice(ids, _MAX_IDS + 1))
        if found.total() > _MAX_IDS:
            raise wire.DecodeError(f"more than {_MAX_IDS} devices")
        return dict(found)

    def _device_ids(self, data: bytes) -> tuple[str, ...]:
        """ContainerDevices: resource_name=1, device_ids=2."""
        found = list(wire.fields(data))
        resource = next((wire.text(content) for number, content in found if number == 1), "")
        if not self._is_gpu(resource):
            return ()
        return tuple(wire.text(content) for number, content in found if number == 2)

    def _containers(self, data: bytes) -> Iterator[ContainerResources]:
        """ListPodResourcesResponse: pod_resources=1 {name=1, namespace=2, containers=3}."""
        for number, content in wire.fields(data):
            if number != 1:
                continue
            parts = list(wire.fields(content))
            texts = {kind: wire.text(part) for kind, part in parts if kind in (1, 2)}
            for kind, part in parts:
                if kind == 3:
                    resources = self._container(part, texts.get(2, ""), texts.get(1, ""))
                    if resources.device_ids or resources.claimed:
                        yield resources

    def _container(self, data: bytes, namespace: str, pod: str) -> ContainerResources:
        """ContainerResources: name=1, devices=2, dynamic_resources=5 {claim_resources=4}."""
        container = ""
        ids: list[str] = []
        claimed: list[ClaimedDevice] = []
        for number, content in wire.fields(data):
            if number == 1:
                container = wire.text(content)
            elif number == 2:
                ids += self._device_ids(content)
            elif number == 5:
                claims = (part for number, part in wire.fields(content) if number == 4)
                claimed += [one for claim in claims if (one := _claimed(claim)) is not None]
        return ContainerResources(namespace, pod, container, tuple(ids), tuple(claimed))


def _bounded(containers: Iterable[ContainerResources]) -> tuple[ContainerResources, ...]:
    """All containers, up to the limits of one node."""
    found: list[ContainerResources] = []
    ids = 0
    for resources in containers:
        found.append(resources)
        ids += len(resources.device_ids) + len(resources.claimed)
        if len(found) > _MAX_CONTAINERS or ids > _MAX_IDS:
            raise wire.DecodeError(f"more than {_MAX_CONTAINERS} containers or {_MAX_IDS} devices")
    return tuple(found)


def _claimed(data: bytes) -> ClaimedDevice | None:
    """ClaimResource: cdi_devices=1 {name=1}, driver_name=2, pool_name=3, device_name=4."""
    texts, names = {}, []
    for number, content in wire.fields(data):
        if number == 1:
            names += [wire.text(part) for number, part in wire.fields(content) if number == 1]
        elif number in (2, 3, 4):
            texts[number] = wire.text(content)
    if texts.get(2) != DRA_DRIVER:
        return None
    return ClaimedDevice(texts.get(3, ""), texts.get(4, ""), tuple(names))


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    code = getattr(error, "code", None)  # it is also a grpc.Call, undeclared
    return code() if callable(code) else None


_REASONS = {
    grpc.StatusCode.UNAVAILABLE: "socket",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "rate_limited",
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
    grpc.StatusCode.PERMISSION_DENIED: "permission",
}


def _unavailable(error: grpc.RpcError) -> KubeletUnavailable:
    code = _code(error)
    reason = _REASONS.get(code, "rpc") if code else "rpc"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in str(error):
        reason = "too_large"  # our own limit, which gRPC reports by the same code
    return KubeletUnavailable(reason, f"the kubelet's pod-resources service: {code and code.name}")
