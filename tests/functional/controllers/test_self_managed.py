"""The server's own part: the pair in its files, and what probes and log hear of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import pair
from metrics_apiserver.certs.issue import KeyAlgorithm
from metrics_apiserver.controllers import self_managed
from metrics_apiserver.controllers.self_managed import SelfManaged
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.options.certificates import CertificateSettings
from tests.fakes import certificates
from tests.fakes.certificates import HOSTS, NAMES, SECRET, SECRET_PATH, SERVICE
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import status

TOLD = CertificateSettings(
    f"{SECRET.namespace}/{SECRET.name}", f"{SERVICE.name}.{SERVICE.namespace}", NAMES, ""
)


@pytest.fixture
async def kubeapi() -> AsyncIterator[FakeKubeAPI]:
    async with certificates.kubeapi() as fake:
        yield fake


@pytest.fixture
async def client(kubeapi: FakeKubeAPI) -> AsyncIterator[KubeClient]:
    async with KubeClient(kubeapi.config()) as client:
        yield client


async def test_a_throw_away_pair_is_shown_until_the_secret_s_is_there(
    kubeapi: FakeKubeAPI, client: KubeClient
) -> None:
    told: list[bytes] = []
    kept = SelfManaged(
        TOLD, client, Telemetry(), lambda: told.append(kept.where.certificate.read_bytes())
    )
    first = kept.where.certificate.read_bytes()
    pair.inspect(first, kept.where.key.read_bytes())
    assert kept.check() == "the pair of the Secret is not served yet, or not trusted"
    await kept.keeper.turn()
    assert told == [certificates.serving(kubeapi)]
    assert told != [first]
    assert kept.check() is None
    pair.inspect(told[0], kept.where.key.read_bytes())
    assert kept.where.key.stat().st_mode & 0o777 == 0o600
    assert kept.where.key.parent.stat().st_mode & 0o777 == 0o700
    await kept.close()
    assert not kept.where.key.parent.exists()


async def test_trouble_is_told_before_and_after_it_is_ready(
    kubeapi: FakeKubeAPI, client: KubeClient
) -> None:
    kept = SelfManaged(TOLD, client, Telemetry(), lambda: None)
    kubeapi.fail(SECRET_PATH, status(403))
    await kept.keeper.turn()
    assert "grant get and update" in (kept.check() or "")
    assert "grant get and update" in kept.troubles()["certificates"]
    await kept.keeper.turn()
    assert kept.troubles() == {}
    kubeapi.fail(SECRET_PATH, status(403))
    await kept.keeper.turn()
    assert kept.check() is None
    assert kept.troubles() != {}
    await kept.close()


def test_the_flags_say_what_pairs_are_like() -> None:
    told = CertificateSettings(
        "n/s",
        "s.monitoring",
        cluster_domain="",
        key_algorithm="RSA-2048",
        lifetime_seconds=60,
        authority_lifetime_seconds=600,
    )
    source = self_managed.make_source(told)
    assert source.hosts == HOSTS
    assert source.algorithm is KeyAlgorithm.RSA_2048
    assert source.lifetime == dt.timedelta(minutes=1)
    assert source.authority_lifetime == dt.timedelta(minutes=10)
