"""The client against real backends: Prometheus, and Prometheus 3 and VictoriaMetrics if installed.

The newer Prometheus is looked for on PATH under the name `prometheus3`.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import Series
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.client import PrometheusClient
from tests.fakes import upstream
from tests.fakes.exposition import Exposition
from tests.fakes.prometheus import Backend
from tests.fakes.upstream import Upstream

SERIES = """\
client_load{namespace="prod",pod="web-0"} 7
client_load{namespace="prod",pod="web-1"} 11.5
client_load{namespace="prod"} 3
client_other{namespace="dev",pod="a\\"b\\\\c\\n},{é"} 1e300
client_odd{kind="nan"} NaN
client_odd{kind="plus"} +Inf
client_odd{kind="minus"} -Inf
"""
MANY = "".join(f'client_many{{pod="p{i:05d}",pad="{"x" * 150}"}} {i}\n' for i in range(2500))


@pytest.fixture(autouse=True, scope="module")
def exposed(exposition: Exposition) -> Iterator[None]:
    before = exposition.text
    exposition.text = before + SERIES + MANY
    yield
    exposition.text = before


@pytest.fixture(params=["prometheus", "prometheus3", "victoria_metrics"])
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(request.param)
    found.wait_for("count(client_many)", lambda result: result and result[0]["value"][1] == "2500")
    return found


def client_to(url: str, **settings: object) -> PrometheusClient:
    made = PrometheusSettings(url, **settings)  # type: ignore[arg-type] # any field, by its name
    return PrometheusClient(made, credentials.from_settings(made))


@pytest.fixture
async def client(backend: Backend) -> AsyncIterator[PrometheusClient]:
    made = client_to(backend.url)
    yield made
    await made.close()


async def test_values(client: PrometheusClient) -> None:
    result = await client.query('client_load{pod!=""}')
    assert {sample.labels["pod"]: sample.value for sample in result.samples} == {
        "web-0": 7,
        "web-1": 11.5,
    }
    assert result.samples[0].labels["__name__"] == "client_load"
    # A scrape is at most a moment old on the backend's clock, which is ours here.
    assert all(abs(time.time() - sample.timestamp) < 60 for sample in result.samples)  # noqa: TID251 - compares clocks


async def test_odd_label_values(client: PrometheusClient) -> None:
    (sample,) = (await client.query("client_other")).samples
    assert sample.labels["pod"] == 'a"b\\c\n},{é'
    assert sample.value == 1e300


async def test_values_that_are_not_finite(prometheus: Backend) -> None:
    prometheus.wait_for("client_odd")
    client = client_to(prometheus.url)
    result = await client.query("client_odd")
    values = {sample.labels["kind"]: sample.value for sample in result.samples}
    assert math.isnan(values["nan"])
    assert (values["plus"], values["minus"]) == (math.inf, -math.inf)
    (division,) = (await client.query("vector(0)/0")).samples
    assert math.isnan(division.value)
    await client.close()


async def test_scalar(client: PrometheusClient) -> None:
    (sample,) = (await client.query("scalar(sum(client_load)) + 0.5")).samples
    assert sample.value == 22


async def test_a_long_answer(client: PrometheusClient) -> None:
    result = await client.query("client_many")
    assert sorted(sample.value for sample in result.samples) == list(range(2500))


async def test_a_long_query(client: PrometheusClient) -> None:
    names = "|".join(f"p{i:05d}" for i in range(0, 2500, 2))
    result = await client.query(f'sum(client_many{{pod=~"{names}"}})')
    assert result.samples[0].value == sum(range(0, 2500, 2))


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_verbs(backend: Backend, verb: str) -> None:
    client = client_to(backend.url, verb=verb)
    start = time.time() - 60  # noqa: TID251 - the backend takes wall time
    assert (await client.query("sum(client_load)")).samples[0].value == 21.5
    assert await client.series("client_other", start=start)
    assert await client.label_values("pod", ["client_other"], start=start)
    assert await client.label_names(["client_other"], start=start)
    await client.close()


async def test_nothing(client: PrometheusClient) -> None:
    start = time.time() - 60  # noqa: TID251 - the backend takes wall time
    assert (await client.query("client_none")).samples == []
    assert await client.series("client_none", start=start) == set()
    assert await client.label_values("pod", ["client_none"], start=start) == []
    # VictoriaMetrics names `__name__` even where nothing matches.
    assert await client.label_names(["client_none"], start=start) in ([], ["__name__"])


async def test_series(client: PrometheusClient) -> None:
    start = time.time() - 60  # noqa: TID251 - the backend takes wall time
    assert await client.series('{__name__=~"client_load|client_many"}', start=start) == {
        Series("client_load", frozenset({"namespace", "pod"})),
        Series("client_load", frozenset({"namespace"})),
        Series("client_many", frozenset({"pod", "pad"})),
    }


async def test_names_of_metrics_with_a_label(client: PrometheusClient) -> None:
    start = time.time() - 60  # noqa: TID251 - the backend takes wall time
    selector = '{__name__=~"client_.*",namespace!="",pod!=""}'
    names = await client.label_values("__name__", [selector], start=start)
    assert sorted(names) == ["client_load", "client_other"]


async def test_names_of_labels(client: PrometheusClient) -> None:
    start = time.time() - 60  # noqa: TID251 - the backend takes wall time
    names = await client.label_names(["client_load", "client_many"], start=start)
    assert sorted(names) == ["__name__", "namespace", "pad", "pod"]


async def test_a_query_that_does_not_parse(client: PrometheusClient) -> None:
    with pytest.raises(errors.UpstreamError) as refused:
        await client.query("client_load{")
    assert refused.value.kind == "api"
    assert refused.value.message.startswith(
        "unable to fetch metrics: Prometheus refused the query ("
    )
    assert "client_load" not in refused.value.message
    assert refused.value.detail


async def test_a_query_that_gives_a_matrix(client: PrometheusClient) -> None:
    with pytest.raises(errors.UpstreamError, match="matrix"):
        await client.query("client_load[1m]")


async def test_many_to_many_is_refused_by_prometheus(prometheus: Backend) -> None:
    client = client_to(prometheus.url)
    with pytest.raises(errors.UpstreamError, match=r"\(422 execution\)"):
        await client.query("client_many * on() client_many")
    await client.close()


async def test_victoria_metrics_behind_its_prefix(victoria_metrics: Backend) -> None:
    victoria_metrics.wait_for("client_load")
    client = client_to(f"{victoria_metrics.url}/prometheus/")
    assert len((await client.query("client_load")).samples) == 3
    await client.close()


async def test_a_path_that_is_not_there(prometheus: Backend) -> None:
    client = client_to(f"{prometheus.url}/wrong")
    with pytest.raises(errors.UpstreamError, match=r"no such path \(404\)"):
        await client.query("1")
    await client.close()


async def test_prometheus_gives_up_in_time(prometheus: Backend) -> None:
    """Its own limit, sent with the query, is a time-out here too."""
    heavy = "count(" + " * on(pod) ".join(["max_over_time(client_many[1h:1ms])"] * 2) + ")"
    client = client_to(prometheus.url)
    started = time.monotonic()
    with pytest.raises(errors.UpstreamTimeout) as late:
        await client.query(heavy, timeout=1.5)
    assert time.monotonic() - started < 5
    assert "Prometheus" in late.value.message
    await client.close()


@pytest.mark.parametrize("cut", [1, 2, 100, 5_000, 100_000])
async def test_a_real_answer_that_breaks_off(prometheus: Backend, cut: int) -> None:
    prometheus.wait_for("count(client_many)", lambda result: result[0]["value"][1] == "2500")
    async with Upstream(target=prometheus.url) as proxy:
        client = client_to(proxy.url)
        assert len((await client.query("client_many")).samples) == 2500
        proxy.mood = upstream.truncate(-cut)
        with pytest.raises(errors.UpstreamError):
            await client.query("client_many")
        start = time.time() - 60  # noqa: TID251 - the backend takes wall time
        with pytest.raises(errors.UpstreamError):
            await client.series("client_many", start=start)
        proxy.mood = upstream.forward()
        assert len((await client.query("client_many")).samples) == 2500
        await client.close()
