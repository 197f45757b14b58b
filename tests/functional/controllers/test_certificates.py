"""Turns of one and of several replicas against a kube-apiserver, with conflicts, faults and kills.

What a replica serves is verified as kube-apiserver does: by a TLS handshake that verifies the name
against the `caBundle` of every APIService.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import ca_bundle
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.rotation import Step
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import PairSource
from metrics_apiserver.controllers.certificates import CertificateController, RotationTiming
from metrics_apiserver.controllers.published import PublishedObjects, PublishedState
from metrics_apiserver.kube.client import KubeClient
from tests.fakes import certificates, pki, waiting
from tests.fakes.certificates import API_SERVICE_PATH, HOSTS, NAMES, SECRET, SECRET_PATH, SERVICE
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import status

TIMING = RotationTiming(overlap_seconds=40.0, interval_seconds=10.0)
PREFIX = "metrics_apiserver_certificate_"


class Killed(Exception):
    """The process is gone."""


class MortalObjects(PublishedObjects):
    """Dies with its process after some writes, when the write is done and nobody knows."""

    writes_left = 1_000_000

    async def write_secret(self, state: PublishedState, material: Material) -> None:
        await super().write_secret(state, material)
        self._die()

    async def write_api_service(self, state: PublishedState, name: str, bundle: bytes) -> None:
        await super().write_api_service(state, name, bundle)
        self._die()

    def _die(self) -> None:
        self.writes_left -= 1
        if not self.writes_left:
            raise Killed


@dataclass
class Clock:
    """Monotonic seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Replica:
    """One process: a controller, what it serves, and what it has counted."""

    controller: CertificateController
    objects: MortalObjects
    telemetry: Telemetry
    served: list[Pair]

    def value(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"{PREFIX}{name}", labels)


@dataclass
class Cluster:
    """A kube-apiserver and the replicas on it."""

    kubeapi: FakeKubeAPI
    client: KubeClient
    clock: Clock = field(default_factory=Clock)

    def replica(self, names: tuple[str, ...] = NAMES) -> Replica:
        telemetry = Telemetry()
        served: list[Pair] = []
        objects = MortalObjects(self.client, SECRET, names, SERVICE, lambda: 0.0)
        controller = CertificateController(
            objects, PairSource(HOSTS), TIMING, telemetry, take=served.append, clock=self.clock
        )
        return Replica(controller, objects, telemetry, served)

    async def turns(self, *replicas: Replica, rounds: int = 1) -> None:
        """Turns in order, with every replica served at any time."""
        for _ in range(rounds):
            for replica in replicas:
                await replica.controller.turn()
                self.check(*replicas)
            self.clock.now += TIMING.interval_seconds

    def check(self, *replicas: Replica) -> None:
        for replica in replicas:
            if replica.served:
                assert certificates.is_served(self.kubeapi, replica.served[-1])

    def take_key_away(self) -> None:
        """How an operator asks for another authority."""
        material = certificates.material(self.kubeapi)
        assert material.serving is not None
        pair = {"tls.crt": material.serving.certificate, "tls.key": material.serving.key}
        certificates.set_secret(self.kubeapi, {**pair, "ca.crt": material.authorities})


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with certificates.kubeapi() as fake, KubeClient(fake.config()) as client:
        yield Cluster(fake, client)


async def test_a_new_installation(cluster: Cluster) -> None:
    replica = cluster.replica()
    delay = await replica.controller.turn()
    assert TIMING.interval_seconds * 0.8 <= delay <= TIMING.interval_seconds
    assert replica.controller.performed == [Step.ISSUE, Step.PUBLISH]
    assert replica.controller.ready
    assert replica.controller.settled
    assert replica.served == [certificates.material(cluster.kubeapi).serving]
    cluster.check(replica)
    assert replica.value("steps_total", kind="issue") == 1
    assert replica.value("authorities") == 1
    assert replica.value("distrusting_apiservices") == 0
    assert (replica.value("sync_timestamp_seconds") or 0) > 1e9


async def test_rest_writes_nothing(cluster: Cluster) -> None:
    replica = cluster.replica()
    await cluster.turns(replica)
    cluster.kubeapi.requests.clear()
    await cluster.turns(replica, rounds=10)
    assert {seen.verb for seen in cluster.kubeapi.requests} == {"get"}
    assert len(cluster.kubeapi.requests) == 10 * (len(NAMES) + 1)
    assert len(replica.served) == 1


async def test_two_replicas_install_at_once_and_one_wins(cluster: Cluster) -> None:
    first, second = cluster.replica(), cluster.replica()
    async with asyncio.TaskGroup() as group:
        group.create_task(first.controller.turn())
        group.create_task(second.controller.turn())
    issued = [one.controller.performed.count(Step.ISSUE) for one in (first, second)]
    assert sorted(issued) == [0, 1]
    await cluster.turns(first, second)
    assert first.served[-1] == second.served[-1]
    assert first.controller.settled
    assert second.controller.settled


async def test_another_authority_comes_with_an_overlap(cluster: Cluster) -> None:
    first, second = cluster.replica(), cluster.replica()
    await cluster.turns(first, second)
    old = first.served[-1]
    before = certificates.authorities(cluster.kubeapi)
    cluster.take_key_away()
    await cluster.turns(first, second)
    during = certificates.authorities(cluster.kubeapi)
    assert before < during
    assert certificates.material(cluster.kubeapi).upcoming is not None
    assert first.served == second.served == [old]
    assert first.value("authorities") == 2
    await cluster.turns(first, second, rounds=3)
    assert certificates.serving(cluster.kubeapi) == old.certificate
    await cluster.turns(first, second, rounds=2)
    assert first.served[-1] == second.served[-1] != old
    assert certificates.authorities(cluster.kubeapi) == during
    await cluster.turns(first, second, rounds=5)
    after = certificates.authorities(cluster.kubeapi)
    assert after == during - before
    assert first.controller.settled
    steps = [*first.controller.performed, *second.controller.performed]
    wanted = [Step.STAGE, Step.PROMOTE, Step.RETIRE]
    assert [steps.count(step) for step in wanted] == [1, 1, 1]


async def test_an_emptied_secret_is_filled_without_a_gap(cluster: Cluster) -> None:
    first, second = cluster.replica(), cluster.replica()
    await cluster.turns(first, second)
    before = certificates.authorities(cluster.kubeapi)
    certificates.set_secret(cluster.kubeapi, {})
    await cluster.turns(first, second, rounds=12)
    assert not before & certificates.authorities(cluster.kubeapi)
    assert len(first.served) == len(second.served) == 2
    assert first.controller.settled


@pytest.mark.parametrize("writes", range(1, 4))
@pytest.mark.parametrize("emptied", [False, True])
async def test_a_replica_is_killed_after_each_write(
    cluster: Cluster, writes: int, emptied: bool
) -> None:
    """Kills one of two replicas after its writes, again and again."""
    other = cluster.replica()
    await cluster.turns(other)
    if emptied:
        certificates.set_secret(cluster.kubeapi, {})
    else:
        cluster.take_key_away()
    kills = 0
    replica = cluster.replica()
    replica.objects.writes_left = writes
    for _ in range(30):
        try:
            await cluster.turns(replica)
        except Killed:
            kills += 1
            replica = cluster.replica()
            replica.objects.writes_left = writes
        cluster.check(other)
        await other.controller.turn()
        cluster.check(other)
    assert kills >= 1
    assert other.controller.settled
    assert len(other.served) == 2


@pytest.mark.parametrize("path", [SECRET_PATH, f"{API_SERVICE_PATH}{NAMES[1]}"])
async def test_faults_change_nothing_and_pass(cluster: Cluster, path: str) -> None:
    replica = cluster.replica()
    await cluster.turns(replica)
    cluster.take_key_away()
    cluster.kubeapi.fail(path, status(403), times=2)
    for failures in (1, 2):
        delay = await replica.controller.turn()
        assert 0 < delay < TIMING.interval_seconds
        assert "grant get and update" in replica.controller.problem
        assert replica.value("failures_total") == failures
    assert replica.controller.ready
    assert not replica.controller.settled
    assert len(replica.served) == 1
    await cluster.turns(replica)
    assert replica.controller.problem == ""


async def test_a_server_that_asks_to_wait_is_given_time(cluster: Cluster) -> None:
    replica = cluster.replica()
    cluster.kubeapi.fail(SECRET_PATH, status(429, retry_after=30))
    assert await replica.controller.turn() >= 30


async def test_endless_conflicts_end_the_turn_not_the_process(cluster: Cluster) -> None:
    replica = cluster.replica()
    cluster.kubeapi.fail(SECRET_PATH, status(409), verb="update", times=1000)
    await replica.controller.turn()
    assert replica.controller.performed == []
    cluster.kubeapi.heal()
    await cluster.turns(replica)
    assert replica.controller.settled


async def test_a_missing_api_service_is_told_and_stops_nothing(cluster: Cluster) -> None:
    replica = cluster.replica(names=(*NAMES, "v1.absent"))
    await cluster.turns(replica)
    assert replica.controller.problem == "APIService v1.absent does not exist"
    assert replica.controller.ready
    assert replica.controller.settled


async def test_an_api_service_that_was_overwritten_is_mended(cluster: Cluster) -> None:
    replica = cluster.replica()
    await cluster.turns(replica, rounds=6)
    certificates.set_bundle(cluster.kubeapi, NAMES[0], b"")
    await cluster.turns(replica)
    cluster.check(replica)


async def test_a_pair_of_elsewhere_stays_trusted_until_every_replica_had_time() -> None:
    """A takeover from prometheus-adapter, whose pods still serve while ours come."""
    theirs = PairSource(HOSTS).make(Material(), pki.NOW, fresh=True)
    bundle = ca_bundle.join([theirs.authority])
    async with certificates.kubeapi() as fake, KubeClient(fake.config()) as client:
        cluster = Cluster(fake, client)
        for name in NAMES:
            certificates.set_bundle(fake, name, bundle)
        replica = cluster.replica()
        for _ in range(4):
            await cluster.turns(replica)
            assert certificates.is_served(fake, theirs.pair)
        await cluster.turns(replica, rounds=2)
        assert not certificates.is_served(fake, theirs.pair)


async def test_verification_begins_after_the_wait() -> None:
    async with (
        certificates.kubeapi(insecureSkipTLSVerify=True) as fake,
        KubeClient(fake.config()) as client,
    ):
        cluster = Cluster(fake, client)
        replica = cluster.replica()
        await cluster.turns(replica, rounds=4)
        assert replica.controller.ready
        assert certificates.published(fake).unverified
        await cluster.turns(replica, rounds=2)
        assert not certificates.published(fake).unverified
        assert replica.controller.settled


@pytest.mark.parametrize("forced", [Step.RENEW, Step.STAGE])
async def test_a_step_may_be_asked_for_once(cluster: Cluster, forced: Step) -> None:
    replica = cluster.replica()
    await cluster.turns(replica)
    replica.controller.forced = forced
    await cluster.turns(replica, rounds=12)
    assert replica.controller.performed.count(forced) == 1
    assert replica.controller.settled
    assert len(replica.served) == 2


async def test_the_loop_turns(cluster: Cluster) -> None:
    replica = cluster.replica()
    async with waiting.running(replica.controller.run()):
        await waiting.until(lambda: replica.controller.settled)


async def test_no_key_is_logged(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    replica = cluster.replica()
    await cluster.turns(replica)
    cluster.take_key_away()
    cluster.kubeapi.fail(SECRET_PATH, status(500), verb="update")
    await cluster.turns(replica, rounds=12)
    material = certificates.material(cluster.kubeapi)
    for key in (material.authority_key, *(pair.key for pair in replica.served)):
        for line in key.decode().splitlines()[1:-1]:
            assert line not in caplog.text
    assert "PRIVATE" not in caplog.text
