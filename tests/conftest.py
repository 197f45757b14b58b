"""Settings, guards and shared parts of every test.

Guards: no connection beyond loopback, no proxy from the environment, no task left behind. Parts:
a certificate authority, a scrape target and the real backends that read it, each started once and
only if a test needs it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
import trustme

from tests.fakes import prometheus as backends
from tests.fakes.exposition import Exposition
from tests.fakes.prometheus import Backend

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def pytest_configure() -> None:
    """Says that no event loop is current before the first test.

    Otherwise Python 3.11's policy makes one as soon as pytest-asyncio looks for a loop to restore,
    nobody closes it, and its ResourceWarning fails a test that had no part in it.
    """
    asyncio.set_event_loop(None)
    # Neighbours on the machine make single examples slow; the number of examples bounds the time.
    hypothesis.settings.register_profile("ci", deadline=None)
    hypothesis.settings.load_profile("ci")
    sys.addaudithook(_stay_on_loopback)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the guard for tasks around tests that have a loop."""
    for item in items:
        if isinstance(item, pytest.Function) and pytest_asyncio.is_async_test(item):
            item.fixturenames.insert(0, "no_pending_tasks")


def _stay_on_loopback(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook, so that no library can get around it; addresses of files are allowed."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if not isinstance(address, tuple) or address[0] == "localhost":
        return
    if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise RuntimeError(f"a test connects to {address}, beyond loopback")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no foreign authorities."""
    for name in list(os.environ):
        if name.lower() in _PROXIES or name in {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
            monkeypatch.delenv(name)


@pytest_asyncio.fixture
async def no_pending_tasks() -> AsyncIterator[None]:
    """Fails a test that leaves a task behind; those about to end get a moment."""
    yield
    deadline = time.monotonic() + 1
    own = asyncio.current_task()
    while pending := asyncio.all_tasks() - {own}:
        if time.monotonic() > deadline:
            pytest.fail(f"tasks are left: {', '.join(map(repr, pending))}")
        await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """An authority of this run; its certificates and keys live in memory and temporary files."""
    return trustme.CA()


@pytest.fixture(scope="session")
def exposition() -> Iterator[Exposition]:
    """The scrape target of `prometheus` and `victoria_metrics`."""
    with Exposition() as target:
        yield target


def _running(
    program: str,
    make: Callable[[Path, Sequence[str]], Backend],
    target: Exposition,
    folders: pytest.TempPathFactory,
) -> Iterator[Backend]:
    if not backends.is_installed(program):
        pytest.skip(f"{program} is not on PATH")
    with make(folders.mktemp(program), [target.target]) as backend:
        yield backend


@pytest.fixture(scope="session")
def prometheus(
    exposition: Exposition, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """A real Prometheus that scrapes `exposition` each second."""
    yield from _running("prometheus", backends.prometheus, exposition, tmp_path_factory)


@pytest.fixture(scope="session")
def prometheus3(
    exposition: Exposition, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """As `prometheus`, by the newer program of that name."""
    make = partial(backends.prometheus, program="prometheus3")
    yield from _running("prometheus3", make, exposition, tmp_path_factory)


@pytest.fixture(scope="session")
def victoria_metrics(
    exposition: Exposition, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """A real VictoriaMetrics that scrapes `exposition` each second."""
    make = backends.victoria_metrics
    yield from _running("victoria-metrics", make, exposition, tmp_path_factory)
