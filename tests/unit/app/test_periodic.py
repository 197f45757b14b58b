"""The small turns: certificates, renewal, conditions and rules that wait."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from metrics_apiserver.app import backends, periodic
from metrics_apiserver.app.periodic import PeriodicWork
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import pair_files
from metrics_apiserver.controllers import serving_pair
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.prometheus.client import PrometheusClient
from metrics_apiserver.provider.counters import ProviderMetrics
from tests.fakes import pki, process, snapshots
from tests.fakes.command_line import serve_settings
from tests.fakes.environments import FakeEnvironment

CA = pki.authority("serving-ca")
WAITING = """
rules:
- seriesQuery: 'lost'
  resources: {overrides: {w: {group: example.com, resource: widget}}}
  metricsQuery: <<.Series>>{<<.LabelMatchers>>}
"""


class Environment:
    def __init__(self, directory: Path, *words: str) -> None:
        settings = serve_settings(directory, *words)
        self.fake = FakeEnvironment()
        self.telemetry = Telemetry()
        self.serving = serving_pair.make_serving(settings, None, lambda: b"")
        self.prometheus: PrometheusClient = backends.make_prometheus(settings, self.telemetry, None)
        self.mapper: RESTMapper | None = None
        self.relister = backends.make_sources(
            settings,
            ProviderMetrics(self.telemetry),
            self.prometheus,
            lambda: self.mapper,
            lambda _snapshot: None,
        ).relister
        self.subject = PeriodicWork(
            settings, self.telemetry, self.fake.environment, self.serving, self.relister
        )

    def value(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"metrics_apiserver_{name}")


def test_certificates_are_taken_over_and_told(tmp_path: Path) -> None:
    environment = Environment(tmp_path, *process.write_pair(tmp_path, pki.server(CA, "localhost")))
    environment.subject.reload_certificates()
    month = pki.NOW.timestamp() + 30 * 86400
    assert environment.value("serving_certificate_expiry_timestamp_seconds") == pytest.approx(
        month, abs=9
    )
    assert environment.value("serving_certificate_last_reload_successful") == 1
    process.write_pair(tmp_path, pki.server(CA, "localhost", days=pki.Days(end=5)))
    environment.subject.reload_certificates()
    days = pki.NOW.timestamp() + 5 * 86400
    assert environment.value("serving_certificate_expiry_timestamp_seconds") == pytest.approx(
        days, abs=9
    )
    (tmp_path / "serving.crt").write_text("broken")
    environment.subject.reload_certificates()
    assert environment.value("serving_certificate_last_reload_successful") == 0
    assert environment.value("serving_certificate_expiry_timestamp_seconds") == pytest.approx(
        days, abs=9
    )


def test_a_pair_of_its_own_is_renewed_and_then_served(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    before = environment.serving.not_after
    old = pki.server(CA, "localhost", "127.0.0.1", days=pki.Days(begin=-30, end=1))
    pair_paths = pair_files.PairFiles(
        *(tmp_path / "certificates" / f"apiserver.{e}" for e in ("crt", "key"))
    )
    pair_paths.certificate.write_bytes(old.pem)
    pair_paths.key.write_bytes(old.key_pem)
    environment.subject.reload_certificates()
    assert environment.serving.not_after < before
    environment.subject.renew_pair()
    environment.subject.reload_certificates()
    assert environment.serving.not_after >= before


def test_conditions_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environment = Environment(tmp_path)
    environment.fake.conditions = {"watch of pods": "may not"}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            environment.subject.log_conditions()
    assert [record.__dict__["condition"] for record in caplog.records] == ["watch of pods"]


async def test_a_rule_that_waits_has_the_cluster_asked(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.subject.ask_for_resources()
    assert environment.fake.asked == 0
    environment.mapper = snapshots.mapper()
    await environment.relister.relist_once()
    environment.subject.ask_for_resources()
    assert environment.fake.asked == 0
    environment.relister.use(snapshots.parse(WAITING))
    await environment.relister.relist_once()
    environment.subject.ask_for_resources()
    assert environment.fake.asked == 1
    await environment.prometheus.close()


@pytest.mark.looptime
async def test_every_turn_comes_again(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    after_reload: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    loops = environment.subject.loops(lambda: after_reload.append(loop.time() - began))
    assert set(loops) == {"serving certificate", "pair renewal", "conditions", "waiting rules"}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run(one)) for one in loops.values()]
        await asyncio.sleep(1.2)
        assert after_reload == pytest.approx([0, 0.5, 1.0])
        for task in tasks:
            task.cancel()


@pytest.mark.looptime
async def test_the_pair_is_looked_at_each_hour(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    key = tmp_path / "certificates" / "apiserver.key"
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_run(environment.subject.loops(lambda: None)["pair renewal"]))
        await asyncio.sleep(1)
        key.unlink()
        await asyncio.sleep(periodic.RENEWAL_SECONDS - 2)
        assert not key.exists()
        await asyncio.sleep(2)
        assert key.exists()
        running.cancel()


async def _run(loop: Loop) -> None:
    await loop()
