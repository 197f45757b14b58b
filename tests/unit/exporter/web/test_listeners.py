"""Sockets that outlive the web configuration."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web
from prometheus_client import CollectorRegistry

from metrics_apiserver.exporter.settings import Web
from metrics_apiserver.exporter.telemetry import ExporterTelemetry
from metrics_apiserver.exporter.web.config import WebConfig, WebConfigError
from metrics_apiserver.exporter.web.listeners import Listeners, open_sockets


class Place:
    """A local port with a configuration file."""

    def __init__(self, directory: Path, ca: trustme.CA) -> None:
        self.directory = directory
        self.path = directory / "web.yml"
        self.ca = ca
        self.sockets = open_sockets([("127.0.0.1", 0)])
        self.port = self.sockets[0].getsockname()[1]
        self.telemetry = ExporterTelemetry(CollectorRegistry())
        self.applications = 0
        self.client = ssl.create_default_context()
        ca.configure_trust(self.client)
        self.listeners = Listeners(
            Web(config=self.path), self.application, self.telemetry, self.sockets
        )

    def application(self, config: WebConfig) -> web.Application:
        self.applications += 1
        number = self.applications

        async def handle(request: web.Request) -> web.Response:
            if request.path == "/slow":
                await asyncio.sleep(0.3)
            return web.Response(text=str(number))

        made = web.Application()
        made.router.add_get("/{path:.*}", handle)
        return made

    def issue(self) -> None:
        pair = self.ca.issue_cert("localhost")
        pair.private_key_pem.write_to_path(self.directory / "tls.key")
        pair.cert_chain_pems[0].write_to_path(self.directory / "tls.crt")

    async def read(self, path: str = "/", *, tls: bool) -> str:
        scheme = "https" if tls else "http"
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                f"{scheme}://localhost:{self.port}{path}", ssl=self.client if tls else True
            ) as answer,
        ):
            return await answer.text()

    def successful(self) -> float | None:
        name = "gpu_exporter_web_config_last_reload_successful"
        return self.telemetry.registry.get_sample_value(name)


TLS = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"


@pytest.fixture
async def place(tmp_path: Path, ca: trustme.CA) -> AsyncIterator[Place]:
    made = Place(tmp_path, ca)
    yield made
    await made.listeners.close()


async def test_changes_are_reloaded(place: Place) -> None:
    place.path.write_text("")
    await place.listeners.start()
    assert await place.read(tls=False) == "1"
    await place.listeners.check_once()
    assert place.applications == 1, "nothing changed"
    place.issue()
    place.path.write_text(TLS)
    await place.listeners.check_once()
    assert await place.read(tls=True) == "2"
    with pytest.raises(aiohttp.ClientError):
        await place.read(tls=False)
    place.issue()
    await place.listeners.check_once()
    assert await place.read(tls=True) == "3"
    assert place.successful() == 1


async def test_an_invalid_configuration_changes_nothing(place: Place) -> None:
    place.issue()
    place.path.write_text(TLS)
    await place.listeners.start()
    for text in ("tls_server_config: {}x", "unknown: 1", TLS.replace("tls.crt", "missing")):
        place.path.write_text(text)
        await place.listeners.check_once()
        assert place.successful() == 0
        assert await place.read(tls=True) == "1"
    place.path.unlink()
    await place.listeners.check_once()
    assert await place.read(tls=True) == "1"
    place.path.write_text(TLS)
    await place.listeners.check_once()
    assert place.successful() == 1


async def test_open_requests_are_answered(place: Place) -> None:
    place.path.write_text("")
    await place.listeners.start()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(place.read("/slow", tls=False))
        await asyncio.sleep(0.1)
        place.path.write_text("http_server_config: {http2: false}")
        await place.listeners.check_once()
    assert slow.result() == "1"
    assert await place.read(tls=False) == "2"


async def test_nothing_is_served_with_less_protection(place: Place) -> None:
    place.path.write_text(TLS)
    with pytest.raises(WebConfigError):
        await place.listeners.start()


async def test_without_a_file(ca: trustme.CA, tmp_path: Path) -> None:
    place = Place(tmp_path, ca)
    listeners = Listeners(Web(), place.application, place.telemetry, place.sockets)
    await listeners.start()
    await listeners.check_once()
    assert await place.read(tls=False) == "1"
    await listeners.close()


def test_addresses() -> None:
    found = open_sockets([("", 0), ("127.0.0.1", 0)])
    families = [one.family for one in found]
    assert families[1] is socket.AF_INET
    for one in found:
        one.close()
    if socket.has_ipv6:
        (six,) = open_sockets([("::1", 0)])
        assert six.family is socket.AF_INET6
        six.close()
