"""The response of each page, for a store that the test fills."""

from __future__ import annotations

import gzip

import bcrypt
import pytest
from aiohttp import encode_basic_auth
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from prometheus_client import CollectorRegistry, generate_latest
from pytest_aiohttp.plugin import AiohttpClient

from metrics_apiserver.exporter.exposition import ExpositionStore, RenderedExposition, compress
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.watchdog import Heartbeat
from metrics_apiserver.exporter.web.config import WebConfig
from metrics_apiserver.exporter.web.handlers import Handlers
from tests.fakes.clock import Clock

Client = TestClient[Request, Application]


class Served:
    """Handlers on a store."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)
        self.store = ExpositionStore(Sampling(), Heartbeat(self.clock), self.clock)
        self.telemetry = ExporterTelemetry(CollectorRegistry())
        self.pages = Handlers(self.store, self.telemetry, "/metrics", self.clock)

    def publish(self, *, is_up: bool = True, packed: bool = False) -> None:
        text, state = b"device 1\n", b"state 1\n"
        self.telemetry.up.set(is_up)
        whole = text + state + generate_latest(self.telemetry.registry)
        compressed = compress(whole) if packed else None
        self.store.publish(
            RenderedExposition(
                self.clock.now, 5.0, is_up, text, state, whole, compressed, b'{"version":1}', 1
            )
        )


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def client(served: Served, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(served.pages.application(WebConfig()))


async def text(client: Client, path: str = "/metrics") -> str:
    answer = await client.get(path, headers={"Accept-Encoding": "identity"})
    return await answer.text()


async def test_before_the_first_round(client: Client) -> None:
    found = await text(client)
    assert "gpu_exporter_up 0.0" in found
    assert "device" not in found.replace("gpu_exporter", "")
    assert (await client.get("/readyz")).status == 503
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/snapshot.json")).status == 503
    assert "does not answer" in await text(client, "/")


async def test_a_fresh_exposition(client: Client, served: Served) -> None:
    served.publish()
    found = await text(client)
    assert found.startswith("device 1\nstate 1\n")
    assert "gpu_exporter_up 1.0" in found
    assert (await client.get("/readyz")).status == 200
    assert await (await client.get("/snapshot.json")).json() == {"version": 1}
    assert "1 series" in await text(client, "/")


async def test_no_gpu_is_ready(client: Client, served: Served) -> None:
    served.publish(is_up=False)
    assert (await client.get("/readyz")).status == 200
    assert "gpu_exporter_up 0.0" in await text(client)


async def test_a_driver_that_hangs(client: Client, served: Served) -> None:
    served.publish()
    served.store.heartbeat.beat("nvmlDeviceGetPowerUsage")
    served.clock.now += 21
    found = await text(client)
    assert "gpu_exporter_up 0.0" in found
    assert "device 1\n" in found
    served.clock.now += 10
    found = await text(client)
    assert "device 1\n" not in found, "Prometheus sees a gap and no frozen value"
    assert "state 1\n" in found
    served.clock.now += 30
    answer = await client.get("/healthz")
    assert answer.status == 503
    assert "nvmlDeviceGetPowerUsage" in await answer.text()


async def test_the_text_during_a_hang_is_rendered_once_a_second(
    client: Client, served: Served
) -> None:
    served.publish()
    served.store.heartbeat.beat("nvmlDeviceGetPowerUsage")
    served.clock.now += 21
    first = await text(client)
    served.telemetry.scrapes.labels("418").inc()
    served.clock.now += 0.9
    assert await text(client) == first
    served.clock.now += 0.2
    assert 'gpu_exporter_scrapes_total{code="418"} 1.0' in await text(client)


async def test_the_end_of_a_hang_shows_at_once(client: Client, served: Served) -> None:
    served.publish()
    served.store.heartbeat.beat("nvmlDeviceGetPowerUsage")
    served.clock.now += 21
    assert "gpu_exporter_up 0.0" in await text(client)
    served.publish()
    served.store.heartbeat.beat("")
    assert "gpu_exporter_up 1.0" in await text(client)


async def test_compressed_text(client: Client, served: Served) -> None:
    served.publish()
    client.session._auto_decompress = False
    first = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in first.headers, "no client had accepted gzip before"
    assert served.store.wants_gzip()
    served.publish(packed=True)
    answer = await client.get("/metrics", headers={"Accept-Encoding": "br, gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    found = gzip.decompress(await answer.read())
    assert found.startswith(b"device 1\nstate 1\n# HELP gpu_exporter_")


async def test_other_paths_and_methods(client: Client) -> None:
    assert (await client.get("/other")).status == 404
    assert (await client.post("/metrics")).status == 405


def login(password: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth("prometheus", password)}


async def test_passwords_protect_all_but_the_probes(
    served: Served, aiohttp_client: AiohttpClient
) -> None:
    users = {"prometheus": bcrypt.hashpw(b"secret", bcrypt.gensalt(4))}
    headers = {"X-Frame-Options": "deny"}
    client = await aiohttp_client(served.pages.application(WebConfig(users=users, headers=headers)))
    served.publish()
    for path in ("/metrics", "/snapshot.json", "/", "/other"):
        answer = await client.get(path)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Basic"
        assert answer.headers["X-Frame-Options"] == "deny"
        answer = await client.get(path, headers=login("wrong"))
        assert answer.status == 401
    for path in ("/healthz", "/readyz"):
        assert (await client.get(path)).status == 200
    assert (await client.get("/metrics", headers=login("secret"))).status == 200


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("deflate, gzip ;q=1.0", True),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000", False),
        ("x-gzip-not", False),
        ("identity", False),
        ("", False),
    ],
)
async def test_compression_is_negotiated(
    client: Client, served: Served, header: str, accepted: bool
) -> None:
    served.publish(packed=True)
    client.session._auto_decompress = False
    answer = await client.get("/metrics", headers={"Accept-Encoding": header})
    assert (answer.headers.get("Content-Encoding") == "gzip") == accepted
    assert (await answer.read()).startswith(b"\x1f\x8b" if accepted else b"device")


async def test_head(client: Client, served: Served) -> None:
    served.publish()
    answer = await client.head("/metrics", headers={"Accept-Encoding": "identity"})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert await answer.read() == b""
    assert await text(client) != "", "the connection can be reused"
    assert (await client.head("/other")).status == 404


async def test_metrics_can_be_the_root(served: Served, aiohttp_client: AiohttpClient) -> None:
    handlers = Handlers(served.store, served.telemetry, "/")
    served.publish()
    client = await aiohttp_client(handlers.application(WebConfig()))
    assert (await text(client, "/")).startswith("device 1\n")
