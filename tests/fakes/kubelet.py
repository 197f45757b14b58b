"""A kubelet's pod-resources socket: the real proto over real gRPC, with what the test puts there.

The messages are compiled from podresources.proto by Google's compiler, so that the exporter's own
wire format decoder is tested against another encoder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterable
from concurrent import futures
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import grpc
from grpc_tools import protoc

from tests.fakes import built

PROTO = Path(__file__).with_name("podresources.proto")


def messages() -> ModuleType:
    """The compiled messages, as a module."""
    digest = hashlib.sha256(PROTO.read_bytes()).hexdigest()[:16]
    name = f"podresources_{digest}_pb2"
    if name in sys.modules:
        return sys.modules[name]
    target = built.folder("podresources") / f"{name}.py"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as directory:
            source = Path(directory) / f"podresources_{digest}.proto"
            source.write_bytes(PROTO.read_bytes())
            include = str(resources.files("grpc_tools") / "_proto")
            command = ["protoc", f"-I{directory}", f"-I{include}", f"--python_out={directory}"]
            if protoc.main([*command, str(source)]):
                raise RuntimeError("the proto does not compile")
            (Path(directory) / f"{name}.py").replace(target)
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Claim:
    """A device that is allocated by a ResourceClaim."""

    device: str
    pool: str = "node-1"
    driver: str = "gpu.nvidia.com"
    cdi: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContainerAllocation:
    """Device IDs that are allocated to a container."""

    pod: str
    ids: tuple[str, ...] = ()
    namespace: str = "default"
    container: str = "server"
    resource: str = "nvidia.com/gpu"
    claims: tuple[Claim, ...] = ()


class Kubelet:
    """Serves on `<directory>/kubelet.sock`, until it is stopped; may be started again.

    Attributes:
        allocated: what is listed from now on.
        allocatable: resource -> every id its plugin advertises.
        version: of the service, `v1` or `v1alpha1`.
        failure: a status to answer everything with.
        failures: the same by method.
        garbage: bytes to answer everything with.
        calls: methods asked for.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "kubelet.sock"
        self.allocated: list[ContainerAllocation] = []
        self.allocatable: dict[str, list[str]] = {}
        self.version = "v1"
        self.has_allocatable = True
        self.failure: grpc.StatusCode | None = None
        self.failures: dict[str, grpc.StatusCode] = {}
        self.garbage: bytes | None = None
        self.calls: list[str] = []
        self._messages = messages()
        self._server: grpc.Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Makes the socket."""
        server = grpc.server(futures.ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((_Handler(self),))
        server.add_insecure_port(f"unix:{self.socket}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """Ends it; the socket goes."""
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None
        self.socket.unlink(missing_ok=True)

    def allocate(self, *allocations: ContainerAllocation) -> None:
        """Replaces what is listed."""
        self.allocated = list(allocations)

    def answer(self, path: str, context: grpc.ServicerContext) -> bytes:
        """What a call gets."""
        self.calls.append(path)
        failure = self.failure or self.failures.get(path.rpartition("/")[2])
        if failure is not None:
            context.abort(failure, "as the test asked")
        if self.garbage is not None:
            return self.garbage
        made = self._list() if path.endswith("/List") else self._allocatable()
        data: bytes = made.SerializeToString()
        return data

    def knows(self, path: str) -> bool:
        """Whether the service has the method."""
        known = [f"/{self.version}.PodResourcesLister/List"]
        if self.has_allocatable and self.version == "v1":
            known.append("/v1.PodResourcesLister/GetAllocatableResources")
        return path in known

    def _list(self) -> Any:
        module = self._messages
        pods: dict[tuple[str, str], list[ContainerAllocation]] = {}
        for one in self.allocated:
            pods.setdefault((one.namespace, one.pod), []).append(one)
        return module.ListPodResourcesResponse(
            pod_resources=[
                module.PodResources(
                    name=pod, namespace=namespace, containers=map(self._container, allocations)
                )
                for (namespace, pod), allocations in pods.items()
            ]
        )

    def _container(self, allocation: ContainerAllocation) -> Any:
        module = self._messages
        devices = [self._devices(allocation.resource, [one]) for one in allocation.ids]
        cpus = self._devices("example.com/other", ["other-0"])
        return module.ContainerResources(
            name=allocation.container,
            devices=[*devices, cpus],
            cpu_ids=[0, 1, 500],
            memory=[module.ContainerMemory(memory_type="memory", size=1 << 40)],
            dynamic_resources=[
                module.DynamicResource(
                    claim_name="claim",
                    claim_namespace=allocation.namespace,
                    claim_resources=[self._claim(one) for one in allocation.claims],
                )
            ],
        )

    def _claim(self, claim: Claim) -> Any:
        module = self._messages
        return module.ClaimResource(
            cdi_devices=[module.CDIDevice(name=name) for name in claim.cdi],
            driver_name=claim.driver,
            pool_name=claim.pool,
            device_name=claim.device,
        )

    def _devices(self, resource: str, ids: Iterable[str]) -> Any:
        module = self._messages
        topology = module.TopologyInfo(nodes=[module.NUMANode(ID=1)])
        return module.ContainerDevices(resource_name=resource, device_ids=ids, topology=topology)

    def _allocatable(self) -> Any:
        return self._messages.AllocatableResourcesResponse(
            devices=[self._devices(name, ids) for name, ids in self.allocatable.items()],
            cpu_ids=range(64),
        )


class _Handler(grpc.GenericRpcHandler):
    """Answers with bytes that are messages already."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._kubelet = kubelet

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        path = handler_call_details.method
        if not self._kubelet.knows(path):
            return None

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            return self._kubelet.answer(path, context)

        return grpc.unary_unary_rpc_method_handler(answer)
