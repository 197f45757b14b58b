"""One request, one answer: the gate first, then a place, then whoever the path belongs to."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from metrics_apiserver.api import handler, status
from metrics_apiserver.api.authn import ANONYMOUS, Authenticator
from metrics_apiserver.api.authz import AllowedPaths, Authorizer
from metrics_apiserver.api.encoding import JSON, Encoded
from metrics_apiserver.api.handler import Columns, Handler, TwoStepGate
from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.api.server import Call
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo, Sample, UserInfo
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.options.prometheus import EvaluationSettings
from metrics_apiserver.provider.custom import CustomProvider
from metrics_apiserver.provider.evaluation.evaluator import Evaluator
from metrics_apiserver.provider.external import ExternalProvider
from metrics_apiserver.provider.resource import ResourceProvider
from tests.fakes import snapshots
from tests.fakes.environments import NoObjects
from tests.fakes.evaluation import FakeBackend, FakeClock

RULES = """
rules:
- seriesQuery: 'load'
  resources: {template: "<<.Resource>>"}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
externalRules:
- seriesQuery: 'queue'
  resources: {namespaced: false}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""
CUSTOM = "/apis/custom.metrics.k8s.io"
LOAD = f"{CUSTOM}/v1beta1/namespaces/default/pods/a/load"
QUEUE = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue"
PODS = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods"
ALICE = UserInfo("alice")
MASTER = UserInfo("root", groups=("system:masters",))


class Gate:
    """Lets in whom a test sets, and notes what for."""

    def __init__(self) -> None:
        self.user: UserInfo | errors.MetricsError = ALICE
        self.entered: list[RequestInfo] = []

    async def enter(self, call: Call, info: RequestInfo) -> UserInfo:
        self.entered.append(info)
        if isinstance(self.user, errors.MetricsError):
            raise self.user
        return self.user


def page(info: RequestInfo, _headers: Mapping[str, str]) -> Encoded | None:
    if info.parts == ("boom",):
        raise RuntimeError("the secret is xyzzy")
    return Encoded(b"page") if info.parts == ("page",) else None


class Environment:
    def __init__(self, places: int = 10) -> None:
        self.backend = FakeBackend(
            lambda _query: [Sample({"namespace": "default", "pod": "a"}, 7.0, 0.0)]
        )
        series = [snapshots.series("load", "namespace", "pod"), snapshots.series("queue")]
        self.snapshot: Snapshot | None = snapshots.snapshot(RULES, series)
        evaluator = Evaluator(
            self.backend, EvaluationSettings(0.0, 10.0), spawn=lambda work, _name: work.close()
        )
        columns = Columns(
            CustomProvider(self, NoObjects(), evaluator),
            ExternalProvider(self, evaluator),
            ResourceProvider(self, NoObjects(), evaluator, wall=lambda: 0.0),
        )
        self.gate = Gate()
        self.observed: list[tuple[str, int, float]] = []
        self.clock = FakeClock()
        self.in_flight = InFlight(places, reserve=1)
        self.handler = Handler(
            self.gate,
            columns,
            (lambda _info, _headers: None, page),
            in_flight=self.in_flight,
            observe=lambda *what: self.observed.append(what),
            clock=self.clock,
        )

    async def ask(self, target: str, method: str = "GET", **headers: str) -> Encoded:
        fields = CIMultiDictProxy(CIMultiDict(headers))
        try:
            return await self.handler(Call(method, target, fields, None, "127.0.0.1"))
        except Exception as error:  # noqa: BLE001 - as the Server does
            return status.answer(error, method, target)


def read(answer: Encoded) -> Any:
    assert answer.content_type == JSON
    return json.loads(answer.body)


# --- who answers ---------------------------------------------------------------------------


async def test_each_group_has_its_column() -> None:
    environment = Environment()
    custom = read(await environment.ask(LOAD))
    assert [item["value"] for item in custom["items"]] == ["7"]
    assert read(await environment.ask(LOAD.replace("v1beta1", "v1beta2")))["apiVersion"].endswith(
        "v1beta2"
    )
    external = read(await environment.ask(QUEUE))
    assert [item["value"] for item in external["items"]] == ["7"]
    assert read(await environment.ask(PODS))["code"] == 404  # no resource rules here
    assert [group for group, _, _ in environment.observed] == [
        "custom.metrics.k8s.io",
        "custom.metrics.k8s.io",
        "external.metrics.k8s.io",
        "metrics.k8s.io",
    ]


async def test_pages_are_asked_in_order() -> None:
    environment = Environment()
    assert (await environment.ask("/page")).body == b"page"
    assert (await environment.ask("/other")).status == 404
    assert [what[:2] for what in environment.observed] == [("other", 200), ("other", 404)]


@pytest.mark.parametrize(
    "target",
    [
        "/apis/other.k8s.io/v1/things",
        f"{CUSTOM}/v1/namespaces/default/pods/a/load",
        "/apis/external.metrics.k8s.io/v1beta2/namespaces/default/queue",
        "/apis/metrics.k8s.io/v1/nodes",
    ],
)
async def test_unknown_groups_and_versions_are_not_found(target: str) -> None:
    environment = Environment()
    answer = await environment.ask(target)
    assert read(answer)["reason"] == "NotFound"
    assert len(environment.gate.entered) == 1
    assert environment.backend.asked == []


# --- the gate ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [LOAD, QUEUE, "/page", "/nowhere", "/apis/x/v1/y", "/boom"])
async def test_the_gate_stands_before_everything(target: str) -> None:
    environment = Environment()
    environment.gate.user = errors.Forbidden("no", name="n", kind="pods")
    answer = await environment.ask(target)
    assert (answer.status, read(answer)["reason"]) == (403, "Forbidden")
    assert environment.backend.asked == []


async def test_what_is_authorised_is_what_is_answered() -> None:
    environment = Environment()
    await environment.ask(LOAD)
    (info,) = environment.gate.entered
    assert (info.verb, info.namespace, info.resource, info.name) == ("get", "default", "pods", "a")
    assert 'namespace="default",pod="a"' in environment.backend.asked[0]


async def test_a_path_that_cannot_be_read_enters_nowhere() -> None:
    environment = Environment()
    for target in (f"{CUSTOM}/v1beta1/namespaces/a%2Fb/pods/a/load", "/a/../b", "/%ff"):
        assert (await environment.ask(target)).status == 400
    assert environment.gate.entered == []
    assert [what[:2] for what in environment.observed] == [("other", 400)] * 3


async def test_two_steps_of_the_gate() -> None:
    gate = TwoStepGate(
        Authenticator(AuthenticationConfig, None, wall_clock=lambda: 0.0),
        Authorizer(None, AllowedPaths(("/livez",))),
    )
    call = Call("GET", "/livez", CIMultiDictProxy(CIMultiDict()), None, "")
    assert await gate.enter(call, RequestInfo("GET", "/livez", ("livez",), verb="get")) == ANONYMOUS
    with pytest.raises(errors.Forbidden):
        await gate.enter(call, RequestInfo("GET", "/metrics", ("metrics",), verb="get"))
    bearer = Call(
        "GET", "/livez", CIMultiDictProxy(CIMultiDict(Authorization="Bearer x")), None, ""
    )
    with pytest.raises(errors.Unauthorized):
        await gate.enter(bearer, RequestInfo("GET", "/livez", ("livez",), verb="get"))


# --- places --------------------------------------------------------------------------------


async def test_reads_leave_the_reserve_to_others() -> None:
    environment = Environment(places=1)
    environment.backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(environment.ask(LOAD))
        await asyncio.sleep(0.01)
        assert environment.in_flight.current == 1
        refused = await environment.ask(QUEUE)
        assert (refused.status, refused.headers) == (429, (("Retry-After", "1"),))
        assert (await environment.ask("/page")).status == 200
        environment.gate.user = MASTER
        owner = group.create_task(environment.ask(QUEUE))
        await asyncio.sleep(0.01)
        # The reserve is bounded too.
        assert (await environment.ask("/page")).status == 429
        environment.backend.gate.set()
    assert (slow.result().status, owner.result().status) == (200, 200)
    assert environment.in_flight.current == 0


async def test_a_failed_request_gives_its_place_back() -> None:
    environment = Environment()
    environment.backend.answer = errors.UpstreamError("down", kind="unreachable")
    assert (await environment.ask(LOAD)).status == 503
    assert (await environment.ask("/boom")).status == 500
    assert environment.in_flight.current == 0


# --- time ----------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", handler.DEADLINE_SECONDS),
        ("?timeout=", handler.DEADLINE_SECONDS),
        ("?timeout=2s", 2.0),
        ("?timeout=1m30s", handler.DEADLINE_SECONDS),
        ("?timeout=0", handler.DEADLINE_SECONDS),
        ("?timeout=-3s", handler.DEADLINE_SECONDS),
    ],
)
async def test_a_read_has_a_deadline(query: str, seconds: float) -> None:
    environment = Environment()
    environment.backend.gate.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await environment.ask(LOAD + query)
    assert loop.time() - began == pytest.approx(seconds)
    assert (answer.status, read(answer)["reason"]) == (504, "Timeout")
    await asyncio.sleep(0.1)
    assert environment.backend.running == 0  # nobody waits for it any more


async def test_a_timeout_that_is_no_duration() -> None:
    assert (await Environment().ask(f"{LOAD}?timeout=soon")).status == 400


async def test_the_time_of_each_answer_is_observed() -> None:
    environment = Environment()

    def slow(_query: str) -> list[Sample]:
        environment.clock.now += 1.5
        return []

    environment.backend.answer = slow
    await environment.ask(LOAD)
    assert environment.observed == [("custom.metrics.k8s.io", 404, 1.5)]


# --- failures ------------------------------------------------------------------------------


async def test_what_nobody_foresaw_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    environment = Environment()
    answer = await environment.ask("/boom?token=hush")
    assert (answer.status, read(answer)["reason"]) == (500, "InternalError")
    assert b"xyzzy" not in answer.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "RuntimeError" in record.getMessage()
    assert "hush" not in record.getMessage()


async def test_before_the_first_relist_reads_say_so() -> None:
    environment = Environment()
    environment.snapshot = None
    for target in (LOAD, QUEUE, PODS):
        assert (await environment.ask(target)).status == 503


async def test_long_targets_are_not_remembered() -> None:
    environment = Environment()
    before = handler._remembered.cache_info().currsize
    long = f"{LOAD}?labelSelector=a%3D{'b' * handler._REMEMBERED_TARGET}"
    for _ in range(2):
        await environment.ask(long)
    assert handler._remembered.cache_info().currsize == before
    for number in range(3000):
        handler._parse("GET", f"/number-{number}")
    assert handler._remembered.cache_info().currsize <= 2048
