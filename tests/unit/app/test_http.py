"""The HTTP side as flags and environment make it: gate, probes, pages and what is counted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from metrics_apiserver.api import authn, health, status
from metrics_apiserver.api.counters import ServingMetrics
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.health import ProcessState
from metrics_apiserver.api.server import Call
from metrics_apiserver.app import backends, http
from metrics_apiserver.base import errors
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs.peer import PeerChain
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.provider.counters import ProviderMetrics
from tests.fakes import pki, snapshots
from tests.fakes.command_line import serve_settings
from tests.fakes.environments import FakeEnvironment, NoObjects

CLIENT_CA = pki.authority("client-ca")
MASTER = pki.client(CLIENT_CA, "admin", ["system:masters"])


class FakeState:
    """Signs of life that a test sets."""

    def __init__(self) -> None:
        self.stopping = False
        self.ticked = time.monotonic()
        self.relisted = True
        self.overdue = False
        self.state = ProcessState(
            is_stopping=lambda: self.stopping,
            loop_ticked=lambda: self.ticked,
            relisted=lambda: self.relisted,
            relist_overdue=lambda: self.overdue,
        )


class Environment:
    def __init__(self, directory: Path, *words: str) -> None:
        self.settings = serve_settings(directory, *words)
        self.snapshot = None
        self.fake = FakeEnvironment(AuthenticationConfig(client_ca=CLIENT_CA.pem))
        self.telemetry = Telemetry()
        self.state = FakeState()
        paths = http.make_allowed_paths(self.settings)
        metrics = ServingMetrics(self.telemetry, self.fake.environment.watched)
        gate = http.make_gate(self.settings, self.fake.environment, paths, metrics)
        probes = health.make_health(self.state.state, self.fake.environment.checks)
        columns = backends.make_columns(
            self.settings,
            ProviderMetrics(self.telemetry),
            backends.make_prometheus(self.settings, self.telemetry, None),
            self,
            NoObjects(),
            lambda work, _name: work.close(),
        )
        self.api = http.make_api(self.settings, gate, columns, probes, metrics)

    async def ask(self, target: str, *certified: pki.Certified) -> Encoded:
        peer = PeerChain.of(tuple(one.der for one in certified)) if certified else None
        headers = CIMultiDictProxy(CIMultiDict[str]())
        try:
            return await self.api.handler(Call("GET", target, headers, peer, ""))
        except Exception as error:  # noqa: BLE001 - as the Server does
            return status.answer(error, "GET", target)

    def counted(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"metrics_apiserver_{name}", labels)


# --- gate ----------------------------------------------------------------------------------


async def test_identities_are_counted_by_method(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    assert (await environment.ask("/metrics", MASTER)).status == 200
    assert (await environment.ask("/livez")).status == 200
    assert (await environment.ask("/livez", pki.client(pki.authority(), "evil"))).status == 401
    counts = {m: environment.counted("authentications_total", method=m) for m in authn.METHODS}
    assert counts == {"certificate": 1, "anonymous": 1, "refused": 1, "token": 0, "front-proxy": 0}


async def test_without_a_reviewer_only_what_is_always_allowed_is(tmp_path: Path) -> None:
    environment = Environment(tmp_path, "--authorization-always-allow-paths=/livez,/open/*")
    assert (await environment.ask("/livez")).status == 200
    assert (await environment.ask("/readyz")).status == 403
    assert (await environment.ask("/open/x")).status == 404
    assert (await environment.ask("/metrics")).status == 403
    assert (await environment.ask("/version", MASTER)).status == 200


def test_a_path_that_is_none_is_a_fault(tmp_path: Path) -> None:
    settings = serve_settings(tmp_path, "--authorization-always-allow-paths=/a*b")
    with pytest.raises(errors.ConfigError, match="--authorization-always-allow-paths"):
        http.make_allowed_paths(settings)


# --- probes --------------------------------------------------------------------------------


async def test_probes_follow_the_signs_of_life(tmp_path: Path) -> None:
    environment = Environment(tmp_path)

    async def states() -> tuple[int, int, int]:
        paths = ("/healthz", "/livez", "/readyz")
        answers = [await environment.ask(path, MASTER) for path in paths]
        return answers[0].status, answers[1].status, answers[2].status

    assert await states() == (200, 200, 200)
    environment.fake.not_ready = "it is away"
    assert await states() == (200, 200, 500)
    assert (await environment.ask("/readyz/cluster", MASTER)).body.endswith(b"it is away\n")
    environment.fake.not_ready = None
    environment.state.relisted = False
    assert await states() == (200, 200, 500)
    environment.state.relisted, environment.state.stopping = True, True
    assert await states() == (200, 200, 500)
    environment.state.stopping, environment.state.overdue = False, True
    assert await states() == (500, 500, 500)
    environment.state.overdue = False
    environment.state.ticked -= health.STALLED_SECONDS + 1
    assert await states() == (500, 500, 500)
    assert b"11 s late" in (await environment.ask("/livez/event-loop", MASTER)).body


# --- pages ---------------------------------------------------------------------------------


async def test_the_root_lists_every_page_and_each_is_there(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    listed = (await environment.ask("/", MASTER)).body.decode()
    for path in ("/healthz", "/livez", "/readyz", "/metrics", "/version", "/openapi/v2"):
        assert f'"{path}"' in listed
        assert (await environment.ask(path, MASTER)).status == 200
    for path in ("/apis", "/openapi/v3"):
        assert (await environment.ask(path, MASTER)).status == 200
    assert (await environment.ask("/nowhere", MASTER)).status == 404


async def test_metrics_say_what_is_watched_now(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.fake.watched = {"pods": 3, "jobs.batch": 1}
    await environment.ask("/metrics", MASTER)
    assert environment.counted("watched_objects", resource="pods") == 3
    environment.fake.watched = {"pods": 4}
    await environment.ask("/metrics", MASTER)
    assert environment.counted("watched_objects", resource="pods") == 4
    assert environment.counted("watched_objects", resource="jobs.batch") is None


async def test_answers_are_counted_by_group_and_code(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    for _ in range(2):
        await environment.ask("/apis/custom.metrics.k8s.io/v1beta1/nodes/a/x", MASTER)
    await environment.ask("/livez")
    group = "custom.metrics.k8s.io"
    assert environment.counted("requests_total", group=group, code="503") == 2
    assert environment.counted("requests_total", group="other", code="200") == 1
    assert environment.counted("request_duration_seconds_count", group=group) == 2


async def test_the_documents_follow_the_snapshot(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    path = "/apis/custom.metrics.k8s.io/v1beta1"
    assert b"pods/load" not in (await environment.ask(path, MASTER)).body
    rules = 'rules: [{seriesQuery: load, resources: {template: "<<.Resource>>"}, metricsQuery: x}]'
    snapshot: Snapshot = snapshots.snapshot(rules, [snapshots.series("load", "pod", "namespace")])
    environment.api.discovery.update(snapshot)
    assert b"pods/load" in (await environment.ask(path, MASTER)).body
