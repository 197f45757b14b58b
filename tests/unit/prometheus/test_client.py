"""What each call sends and logs, what comes of warnings, and what `observe` is given."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import Sample, Series
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.client import (
    QUERY_CHARACTERS,
    WARNING_CHARACTERS,
    WARNING_SECONDS,
    PrometheusClient,
)
from tests.fakes import upstream
from tests.fakes.evaluation import FakeClock
from tests.fakes.upstream import Mood, Upstream

QUERIES = "metrics_apiserver.prometheus.queries"


class Observed:
    """Keeps what the client tells."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.seconds: list[float] = []

    def __call__(self, endpoint: str, outcome: str, seconds: float) -> None:
        self.calls.append((endpoint, outcome))
        self.seconds.append(seconds)


@pytest.fixture
async def backend() -> AsyncIterator[Upstream]:
    async with Upstream(mood=upstream.success([])) as server:
        yield server


@pytest.fixture
def observed() -> Observed:
    return Observed()


@asynccontextmanager
async def client_to(
    backend: Upstream,
    observed: Observed,
    clock: Callable[[], float] = time.monotonic,
    **settings: object,
) -> AsyncIterator[PrometheusClient]:
    made = PrometheusSettings(backend.url, **settings)  # type: ignore[arg-type] # any, by name
    identity = credentials.from_settings(made)
    client = PrometheusClient(made, identity, observe=observed, clock=clock)
    try:
        yield client
    finally:
        await client.close()


async def test_query(backend: Upstream, observed: Observed) -> None:
    backend.mood = upstream.vector(({"pod": "a"}, "1.5"), ({"pod": "b"}, "2"))
    async with client_to(backend, observed) as client:
        result = await client.query('up{pod=~"a|b"}')
    assert result.samples == [
        Sample({"pod": "a"}, 1.5, 1700000000.5),
        Sample({"pod": "b"}, 2.0, 1700000000.5),
    ]
    (request,) = backend.requests
    assert request.path == "/api/v1/query"
    assert request.form.keys() == {"query", "timeout"}, "`time` is left to Prometheus"
    assert request.form["query"] == ['up{pod=~"a|b"}']
    assert observed.calls == [("query", "ok")]
    assert 0 < observed.seconds[0] < 5


async def test_a_query_is_logged_at_debug_and_cut(
    backend: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    backend.mood = upstream.vector(({}, "1"))
    caplog.set_level(logging.DEBUG, QUERIES)
    async with client_to(backend, Observed(), clock=FakeClock()) as prometheus:
        await prometheus.query("q" * 1500)
    [record] = [record for record in caplog.records if record.name == QUERIES]
    assert record.levelno == logging.DEBUG
    assert record.__dict__["query"] == "q" * QUERY_CHARACTERS
    assert (record.__dict__["samples"], record.__dict__["seconds"]) == (1, "0.000")


async def test_a_query_is_not_logged_below_debug(
    backend: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    backend.mood = upstream.vector(({}, "1"))
    caplog.set_level(logging.INFO, QUERIES)
    async with client_to(backend, Observed()) as prometheus:
        await prometheus.query("q")
    assert not caplog.records


async def test_series(backend: Upstream, observed: Observed) -> None:
    backend.mood = upstream.success([{"__name__": "m", "pod": "a"}])
    async with client_to(backend, observed) as client:
        found = await client.series('{pod!=""}', start=1700000000, end=1700000060.25)
        await client.series("m", start=1)
    assert found == {Series("m", frozenset({"pod"}))}
    assert backend.requests[0].path == "/api/v1/series"
    assert backend.requests[0].form == {
        "match[]": ['{pod!=""}'],
        "start": ["1700000000.000"],
        "end": ["1700000060.250"],
    }
    assert backend.requests[1].form == {"match[]": ["m"], "start": ["1.000"]}
    assert observed.calls == [("series", "ok")] * 2


async def test_label_values(backend: Upstream, observed: Observed) -> None:
    backend.mood = upstream.success(["a", "b"])
    async with client_to(backend, observed, verb="POST") as client:
        assert await client.label_values("__name__", ['{a!=""}', "b"], start=5) == ["a", "b"]
        assert await client.label_values("a/b ?", [], start=5) == ["a", "b"]
    first, second = backend.requests
    assert (first.method, first.path) == ("GET", "/api/v1/label/__name__/values")
    assert first.form == {"match[]": ['{a!=""}', "b"], "start": ["5.000"]}
    assert second.path == "/api/v1/label/a%2Fb%20%3F/values"
    assert observed.calls == [("label_values", "ok")] * 2


async def test_label_names(backend: Upstream, observed: Observed) -> None:
    backend.mood = upstream.success(["__name__", "pod"])
    async with client_to(backend, observed) as client:
        assert await client.label_names(["m"], start=5) == ["__name__", "pod"]
    assert backend.requests[0].path == "/api/v1/labels"
    assert backend.requests[0].form == {"match[]": ["m"], "start": ["5.000"]}
    assert observed.calls == [("label_names", "ok")]


async def test_a_long_selector_is_posted(backend: Upstream, observed: Observed) -> None:
    selector = "{pod=~" + '"' + "x" * 3000 + '"}'
    async with client_to(backend, observed) as client:
        await client.series(selector, start=5)
    assert backend.requests[0].method == "POST"
    assert backend.requests[0].form["match[]"] == [selector]


Call = Callable[[PrometheusClient], Awaitable[object]]
CALLS: dict[str, Call] = {
    "query": lambda client: client.query("x", timeout=0.3),
    "series": lambda client: client.series("x", start=0, timeout=0.3),
    "label_values": lambda client: client.label_values("x", [], start=0, timeout=0.3),
    "label_names": lambda client: client.label_names([], start=0, timeout=0.3),
}


@pytest.mark.parametrize("endpoint", CALLS)
@pytest.mark.parametrize(
    ("mood", "outcome"),
    [
        pytest.param(upstream.reset(), "unreachable", id="reset"),
        pytest.param(upstream.html(), "http", id="html"),
        pytest.param(upstream.error(400, "bad_data", "x"), "api", id="refused"),
        pytest.param(upstream.error(200, "bad_data", "x"), "api", id="refused under 200"),
        pytest.param(upstream.error(503, "timeout", "x"), "timeout", id="gave up"),
        pytest.param(upstream.answer(b"garbage"), "protocol", id="garbage"),
        pytest.param(upstream.success(None), "protocol", id="no data"),
        pytest.param(upstream.hang(), "timeout", id="hang"),
    ],
)
async def test_failures(
    backend: Upstream, observed: Observed, endpoint: str, mood: Mood, outcome: str
) -> None:
    backend.mood = mood
    async with client_to(backend, observed) as client:
        with pytest.raises((errors.UpstreamError, errors.UpstreamTimeout)) as failed:
            await CALLS[endpoint](client)
    assert observed.calls == [(endpoint, outcome)]
    assert failed.value.message.startswith("unable to fetch metrics: ")
    if isinstance(failed.value, errors.UpstreamError):
        assert failed.value.kind == outcome


async def test_cancellation_is_observed_and_raised(backend: Upstream, observed: Observed) -> None:
    backend.mood = upstream.hang()
    async with client_to(backend, observed) as client, asyncio.TaskGroup() as group:
        asking = group.create_task(client.query("x"))
        await asyncio.sleep(0.05)
        asking.cancel()
    assert asking.cancelled()
    assert observed.calls == [("query", "cancelled")]


@pytest.mark.parametrize(
    ("limits", "endpoint", "outcome"),
    [
        ({"max_body_bytes": 1000}, "query", "too_large"),
        ({"max_body_bytes": 1000}, "label_values", "too_large"),
        ({"max_body_bytes": 1000}, "label_names", "too_large"),
        ({"max_body_bytes": 1000}, "series", "ok"),
        ({"max_series_body_bytes": 1000}, "series", "too_large"),
    ],
)
async def test_limits(
    backend: Upstream, observed: Observed, limits: dict[str, Any], endpoint: str, outcome: str
) -> None:
    backend.mood = upstream.success([{"__name__": "m", "pad": "x" * 2000}])
    async with client_to(backend, observed, **limits) as client:
        with suppress(errors.UpstreamError):
            await CALLS[endpoint](client)
    assert observed.calls == [(endpoint, outcome)]


NOTHING: dict[str, object] = {
    "query": {"resultType": "vector", "result": []},
    "series": [],
    "label_values": [],
    "label_names": [],
}


class TestWarnings:
    @pytest.mark.parametrize("endpoint", CALLS)
    async def test_they_are_served_and_logged(
        self,
        backend: Upstream,
        observed: Observed,
        endpoint: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        backend.mood = upstream.success(NOTHING[endpoint], warnings=["store b is away"])
        with caplog.at_level(logging.WARNING):
            async with client_to(backend, observed) as client:
                await CALLS[endpoint](client)
        assert observed.calls == [(endpoint, "partial")]
        (record,) = caplog.records
        # That of a query is structured, because it names the query too.
        text = record.__dict__["warning"] if endpoint == "query" else record.getMessage()
        assert "store b is away" in text

    async def test_the_result_carries_them(self, backend: Upstream, observed: Observed) -> None:
        backend.mood = upstream.vector(({}, "1"), warnings=["w1", "w2"])
        async with client_to(backend, observed) as client:
            assert (await client.query("x")).warnings == ("w1", "w2")

    async def test_one_of_queries_is_logged_once_a_minute(
        self, backend: Upstream, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend.mood = upstream.vector(({}, "1"), warnings=["store is down", "x" * 5000])
        clock = FakeClock()
        async with client_to(backend, Observed(), clock=clock) as client:
            for _ in range(3):
                await client.query("q")
            clock.now += WARNING_SECONDS - 0.1
            await client.query("q")
            assert [record.__dict__["warning"] for record in caplog.records] == [
                "store is down",
                "x" * WARNING_CHARACTERS,
            ]
            clock.now += 0.1
            await client.query("q")
        assert len(caplog.records) == 4

    async def test_those_that_differ_each_time_are_not_remembered_without_end(
        self, backend: Upstream
    ) -> None:
        async with client_to(backend, Observed()) as client:
            for number in range(200):
                backend.mood = upstream.vector(({}, "1"), warnings=[f"warning {number}"])
                await client.query("q")
            assert len(client._warned) <= 64

    async def test_they_repeat_no_secret(
        self, backend: Upstream, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend.mood = upstream.vector(({}, "1"), warnings=["the tenant sesame-42 is unknown"])
        async with client_to(backend, Observed(), headers=("X-Key=sesame-42",)) as client:
            await client.query("q")
        (record,) = caplog.records
        assert record.__dict__["warning"] == "the tenant [redacted] is unknown"

    @pytest.mark.parametrize("endpoint", CALLS)
    async def test_they_may_be_failures(
        self, backend: Upstream, observed: Observed, endpoint: str
    ) -> None:
        backend.mood = upstream.success(NOTHING[endpoint], warnings=["store b is away"])
        async with client_to(backend, observed, fail_on_warnings=True) as client:
            with pytest.raises(errors.UpstreamError) as refused:
                await CALLS[endpoint](client)
        assert refused.value.kind == "warnings"
        assert refused.value.detail == "store b is away"
        assert "store b" not in refused.value.message
        assert observed.calls == [(endpoint, "warnings")]


@pytest.mark.parametrize(
    "answer",
    [
        lambda text: upstream.answer(text, 502),
        lambda text: upstream.error(400, "bad_data", text),
        lambda text: upstream.error(200, "bad_data", text),
        lambda text: upstream.error(503, "timeout", text),
    ],
    ids=["page", "refused", "refused under 200", "gave up"],
)
async def test_a_backend_that_echoes_our_secrets(
    backend: Upstream, observed: Observed, tmp_path: Path, answer: Callable[[str], Mood]
) -> None:
    (tmp_path / "token").write_text("t0ken-s3cret")
    backend.mood = answer("you sent Bearer t0ken-s3cret and h3ader-s3cret" + "x" * 900)
    settings: dict[str, Any] = {
        "token_file": str(tmp_path / "token"),
        "headers": ("X-Key=h3ader-s3cret",),
    }
    async with client_to(backend, observed, **settings) as client:
        with pytest.raises((errors.UpstreamError, errors.UpstreamTimeout)) as failed:
            await client.query("x")
    assert "s3cret" not in failed.value.message + failed.value.detail
    assert failed.value.detail.startswith("you sent Bearer [redacted] and [redacted]x")
    assert len(failed.value.detail) == 300


async def test_nobody_needs_to_count(backend: Upstream) -> None:
    settings = PrometheusSettings(backend.url)
    client = PrometheusClient(settings, credentials.from_settings(settings))
    assert await client.label_names([], start=0) == []
    await client.close()
