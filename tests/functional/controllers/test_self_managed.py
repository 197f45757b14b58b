"""The server's own part: the pair in its files, and what probes and log say of it."""

from __future__ import annotations

import datetime as dt

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import pair
from metrics_apiserver.certs.issue import KeyAlgorithm
from metrics_apiserver.controllers import self_managed
from metrics_apiserver.controllers.self_managed import SelfManagedPair
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.options.certificates import CertificateSettings
from tests.fakes import certificates
from tests.fakes.certificates import HOSTS, NAMES, SECRET, SECRET_PATH, SERVICE
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import status

SETTINGS = CertificateSettings(
    f"{SECRET.namespace}/{SECRET.name}", f"{SERVICE.name}.{SERVICE.namespace}", NAMES, ""
)


async def test_a_throw_away_pair_is_shown_until_the_secret_s_is_there(
    kubeapi: FakeKubeAPI, client: KubeClient
) -> None:
    written: list[bytes] = []
    managed = SelfManagedPair(
        SETTINGS,
        client,
        Telemetry(),
        lambda: written.append(managed.pair_paths.certificate.read_bytes()),
    )
    first = managed.pair_paths.certificate.read_bytes()
    pair.inspect(first, managed.pair_paths.key.read_bytes())
    assert managed.check() == "the pair of the Secret is not served yet, or not trusted"
    await managed.controller.turn()
    assert written == [certificates.serving(kubeapi)]
    assert written != [first]
    assert managed.check() is None
    pair.inspect(written[0], managed.pair_paths.key.read_bytes())
    assert managed.pair_paths.key.stat().st_mode & 0o777 == 0o600
    assert managed.pair_paths.key.parent.stat().st_mode & 0o777 == 0o700
    await managed.close()
    assert not managed.pair_paths.key.parent.exists()


async def test_conditions_are_reported_before_and_after_it_is_ready(
    kubeapi: FakeKubeAPI, client: KubeClient
) -> None:
    managed = SelfManagedPair(SETTINGS, client, Telemetry(), lambda: None)
    kubeapi.fail(SECRET_PATH, status(403))
    await managed.controller.turn()
    assert "grant get and update" in (managed.check() or "")
    assert "grant get and update" in managed.conditions()["certificates"]
    await managed.controller.turn()
    assert managed.conditions() == {}
    kubeapi.fail(SECRET_PATH, status(403))
    await managed.controller.turn()
    assert managed.check() is None
    assert managed.conditions() != {}
    await managed.close()


def test_the_flags_say_what_pairs_are_like() -> None:
    settings = CertificateSettings(
        "n/s",
        "s.monitoring",
        cluster_domain="",
        key_algorithm="RSA-2048",
        lifetime_seconds=60,
        authority_lifetime_seconds=600,
    )
    source = self_managed.make_source(settings)
    assert source.hosts == HOSTS
    assert source.algorithm is KeyAlgorithm.RSA_2048
    assert source.lifetime == dt.timedelta(minutes=1)
    assert source.authority_lifetime == dt.timedelta(minutes=10)
