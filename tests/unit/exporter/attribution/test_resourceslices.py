"""UUIDs of claimed devices, from a fake kube-apiserver on the loopback interface."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.exporter.attribution.podresources import ClaimedDevice
from metrics_apiserver.exporter.attribution.resourceslices import ResourceSlices
from tests.fakes import authorities, pki
from tests.fakes.clock import Clock


def device(name: str, uuid: str, *, basic: bool = False) -> dict[str, Any]:
    attributes = {"attributes": {"uuid": {"string": uuid}, "type": {"string": "gpu"}}}
    return {"name": name, "basic": attributes} if basic else {"name": name, **attributes}


def slices(*devices: dict[str, Any], driver: str = "gpu.nvidia.com") -> dict[str, Any]:
    spec = {"driver": driver, "pool": {"name": "node-1"}, "devices": list(devices)}
    return {"items": [{"spec": spec}, {"spec": {"driver": "tpu", "devices": [device("x", "y")]}}]}


class ApiServer:
    """Answers GETs of one version, over TLS."""

    def __init__(self, found: authorities.Found, directory: Path) -> None:
        self.version = "v1"
        self.status = 200
        self.body: Any = slices(device("gpu-0", "GPU-a"))
        self.seen: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, self.headers["Authorization"]))
                known = f"/apis/resource.k8s.io/{outer.version}/" in self.path
                raw = outer.body if isinstance(outer.body, bytes) else None
                body = json.dumps(outer.body).encode() if raw is None else raw
                self.send_response(outer.status if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = authorities.server(found)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        (directory / "token").write_text("secret\n")
        (directory / "ca.crt").write_bytes(found.bundle)
        self.environment = {
            "KUBERNETES_SERVICE_HOST": authorities.HOST,
            "KUBERNETES_SERVICE_PORT": str(self.server.server_address[1]),
        }


@contextlib.contextmanager
def serving(found: authorities.Found, directory: Path) -> Iterator[ApiServer]:
    made = ApiServer(found, directory)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    with serving(authorities.kubeadm(), tmp_path) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(api: ApiServer, tmp_path: Path, clock: Clock) -> ResourceSlices:
    return ResourceSlices("node-1", clock, tmp_path, api.environment)


WANTED = {("node-1", "gpu-0")}


def test_a_uuid(api: ApiServer, found: ResourceSlices) -> None:
    assert found.find(ClaimedDevice("node-1", "gpu-0")) is None
    found.refresh(WANTED)
    assert found.find(ClaimedDevice("node-1", "gpu-0")) == "GPU-a"
    assert found.find(ClaimedDevice("elsewhere", "gpu-0")) is None
    path, token = api.seen[0]
    assert path.endswith("/v1/resourceslices?fieldSelector=spec.nodeName%3Dnode-1")
    assert token == "Bearer secret"


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_older_api_versions(api: ApiServer, found: ResourceSlices, version: str) -> None:
    api.version = version
    api.body = slices(device("gpu-0", "GPU-b", basic=version == "v1beta1"))
    found.refresh(WANTED)
    assert found.find(ClaimedDevice("node-1", "gpu-0")) == "GPU-b"


def test_slices_are_read_only_for_unknown_devices(
    api: ApiServer, found: ResourceSlices, clock: Clock
) -> None:
    found.refresh(set())
    assert api.seen == []
    found.refresh(WANTED)
    found.refresh(WANTED)
    assert len(api.seen) == 1
    found.refresh({("node-1", "gpu-9")})
    assert len(api.seen) == 1, "not within 30 s"
    clock.now = 31
    found.refresh({("node-1", "gpu-9")})
    assert len(api.seen) == 2


@pytest.mark.parametrize(("status", "version"), [(403, "v1"), (200, "v2")])
def test_refusals(api: ApiServer, found: ResourceSlices, status: int, version: str) -> None:
    api.status, api.version = status, version
    with pytest.raises(OSError, match="ResourceSlices"):
        found.refresh(WANTED)


@pytest.mark.parametrize("make", authorities.SERVERS)
def test_cluster_authorities(
    make: Callable[[], authorities.Found], tmp_path: Path, clock: Clock
) -> None:
    with serving(make(), tmp_path) as api:
        found = ResourceSlices("node-1", clock, tmp_path, api.environment)
        found.refresh(WANTED)
        assert found.find(ClaimedDevice("node-1", "gpu-0")) == "GPU-a"
        (tmp_path / "ca.crt").write_bytes(pki.authority().pem)
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ResourceSlices("node-1", clock, tmp_path, api.environment).refresh(WANTED)
    assert len(api.seen) == 1


def test_outside_a_cluster(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(KeyError):
        ResourceSlices("n", clock, tmp_path, {}).refresh(WANTED)


def test_a_name_that_is_reused_for_another_device(
    api: ApiServer, found: ResourceSlices, clock: Clock
) -> None:
    found.refresh(WANTED)
    api.body = slices(device("gpu-0", "GPU-b"))
    clock.now = 299
    found.refresh(WANTED)
    assert found.find(ClaimedDevice("node-1", "gpu-0")) == "GPU-a"
    clock.now = 301
    found.refresh(set())
    assert len(api.seen) == 1, "there are no claims"
    found.refresh(WANTED)
    assert found.find(ClaimedDevice("node-1", "gpu-0")) == "GPU-b"


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        [],
        {"items": ["x"]},
        {"items": [{"spec": {"driver": "gpu.nvidia.com", "pool": "p", "devices": [1]}}]},
        {"items": 5},
    ],
)
def test_a_response_that_is_not_a_list(
    api: ApiServer, found: ResourceSlices, clock: Clock, body: object
) -> None:
    found.refresh(WANTED)
    api.body = body
    clock.now = 31
    with pytest.raises(ValueError, match=r"."):
        found.refresh({("node-1", "gpu-9")})
    assert found.find(ClaimedDevice("node-1", "gpu-0")) == "GPU-a", "known UUIDs are kept"


def test_a_response_that_is_not_http(tmp_path: Path, clock: Clock) -> None:
    trusted = authorities.kubeadm()
    context = authorities.server(trusted)
    (tmp_path / "token").write_text("secret")
    (tmp_path / "ca.crt").write_bytes(trusted.bundle)

    def response() -> None:
        with context.wrap_socket(listening.accept()[0], server_side=True) as one:
            one.recv(4096)
            one.sendall(b"220 mail ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=response)
        thread.start()
        environment = {
            "KUBERNETES_SERVICE_HOST": authorities.HOST,
            "KUBERNETES_SERVICE_PORT": str(listening.getsockname()[1]),
        }
        with pytest.raises(ValueError, match="BadStatusLine"):
            ResourceSlices("n", clock, tmp_path, environment).refresh(WANTED)
        thread.join(5)
