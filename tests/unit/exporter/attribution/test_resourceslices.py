"""UUIDs of claimed devices, from a kube-apiserver that is a loopback fake."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from metrics_apiserver.exporter.attribution.podresources import Claimed
from metrics_apiserver.exporter.attribution.resourceslices import ResourceSlices


def device(name: str, uuid: str, *, basic: bool = False) -> dict[str, Any]:
    attributes = {"attributes": {"uuid": {"string": uuid}, "type": {"string": "gpu"}}}
    return {"name": name, "basic": attributes} if basic else {"name": name, **attributes}


def slices(*devices: dict[str, Any], driver: str = "gpu.nvidia.com") -> dict[str, Any]:
    spec = {"driver": driver, "pool": {"name": "node-1"}, "devices": list(devices)}
    return {"items": [{"spec": spec}, {"spec": {"driver": "tpu", "devices": [device("x", "y")]}}]}


class ApiServer:
    """Answers GETs of one version, over TLS."""

    def __init__(self, ca: trustme.CA, directory: Path) -> None:
        self.version = "v1"
        self.status = 200
        self.body: Any = slices(device("gpu-0", "GPU-a"))
        self.seen: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, self.headers["Authorization"]))
                known = f"/apis/resource.k8s.io/{outer.version}/" in self.path
                body = json.dumps(outer.body).encode()
                self.send_response(outer.status if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        (directory / "token").write_text("secret\n")
        ca.cert_pem.write_to_path(directory / "ca.crt")
        host, port = self.server.server_address[:2]
        self.environment = {
            "KUBERNETES_SERVICE_HOST": str(host),
            "KUBERNETES_SERVICE_PORT": str(port),
        }


@pytest.fixture
def api(ca: trustme.CA, tmp_path: Path) -> Iterator[ApiServer]:
    made = ApiServer(ca, tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def found(api: ApiServer, tmp_path: Path, clock: Clock) -> ResourceSlices:
    return ResourceSlices("node-1", clock, tmp_path, api.environment)


WANTED = {("node-1", "gpu-0")}


def test_a_uuid(api: ApiServer, found: ResourceSlices) -> None:
    assert found.find(Claimed("node-1", "gpu-0")) is None
    found.refresh(WANTED)
    assert found.find(Claimed("node-1", "gpu-0")) == "GPU-a"
    assert found.find(Claimed("elsewhere", "gpu-0")) is None
    path, token = api.seen[0]
    assert path.endswith("/v1/resourceslices?fieldSelector=spec.nodeName%3Dnode-1")
    assert token == "Bearer secret"


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_versions_of_before(api: ApiServer, found: ResourceSlices, version: str) -> None:
    api.version = version
    api.body = slices(device("gpu-0", "GPU-b", basic=version == "v1beta1"))
    found.refresh(WANTED)
    assert found.find(Claimed("node-1", "gpu-0")) == "GPU-b"


def test_it_asks_only_for_what_it_does_not_know(
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


def test_outside_of_a_cluster(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(KeyError):
        ResourceSlices("n", clock, tmp_path, {}).refresh(WANTED)
