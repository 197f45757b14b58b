"""Flags replace parts of the ConfigMap's state; a file that cannot be used changes nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.certs import ca_bundle
from metrics_apiserver.controllers import trust
from metrics_apiserver.controllers.trust import FlagTrust
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.requestheader import AuthenticationConfig, AuthenticationSource
from metrics_apiserver.options.authentication import AuthenticationSettings
from tests.fakes import pki
from tests.fakes.kubeapi import FakeKubeAPI

OLD, NEW = pki.authority("old").pem, pki.authority("new").pem
BASE = AuthenticationConfig(
    client_ca=b"client of the ConfigMap",
    requestheader_ca=b"proxy of the ConfigMap",
    allowed_names=("front-proxy-client",),
    username_headers=("X-Remote-User",),
    group_headers=("X-Remote-Group",),
    extra_prefixes=("X-Remote-Extra-",),
    uid_headers=("X-Remote-Uid",),
    generation=7,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_flags_the_configmap_counts() -> None:
    subject = FlagTrust(AuthenticationSettings())
    assert replace(subject.over(BASE), generation=7) == BASE
    assert subject.over(BASE) is subject.over(BASE)
    assert subject.over(AuthenticationConfig()).client_ca == b""


def test_a_client_ca_file_replaces_the_client_ca_only(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(OLD)
    subject = FlagTrust(AuthenticationSettings(client_ca_file=str(tmp_path / "ca.crt")))
    assert replace(subject.over(BASE), generation=7) == replace(BASE, client_ca=OLD)


def test_a_proxy_ca_file_brings_its_names_and_headers(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(OLD)
    settings = AuthenticationSettings(
        requestheader_ca_file=str(tmp_path / "ca.crt"),
        requestheader_allowed_names=("me",),
        requestheader_username_headers=("x-user",),
        requestheader_group_headers=("x-group",),
        requestheader_extra_prefixes=("x-extra-",),
        requestheader_uid_headers=("x-uid",),
    )
    assert replace(FlagTrust(settings).over(BASE), generation=7) == AuthenticationConfig(
        client_ca=BASE.client_ca,
        requestheader_ca=OLD,
        allowed_names=("me",),
        username_headers=("x-user",),
        group_headers=("x-group",),
        extra_prefixes=("x-extra-",),
        uid_headers=("x-uid",),
        generation=7,
    )


def test_generations_grow_with_every_change_of_either(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(OLD)
    clock = Clock()
    subject = FlagTrust(AuthenticationSettings(client_ca_file=str(file)), clock=clock)
    first = subject.over(BASE)
    other = subject.over(replace(BASE, allowed_names=("other",)))
    assert other.generation == first.generation + 1
    # The ConfigMap's client CA does not count, so it is no change.
    same = subject.over(replace(BASE, allowed_names=("other",), client_ca=b"x"))
    assert same.generation == other.generation
    file.write_bytes(NEW)
    assert subject.over(BASE).client_ca == OLD
    clock.now += trust.RELOAD_SECONDS
    changed = subject.over(BASE)
    assert changed.client_ca == NEW
    assert changed.generation > other.generation


@pytest.mark.parametrize("damage", ["", "no certificate", None])
def test_a_file_that_cannot_be_used_any_more_leaves_the_old_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str | None
) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(OLD)
    clock = Clock()
    subject = FlagTrust(AuthenticationSettings(client_ca_file=str(file)), clock=clock)
    if damage is None:
        file.unlink()
    else:
        file.write_text(damage)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.now += trust.RELOAD_SECONDS
            assert subject.over(BASE).client_ca == OLD
    assert len(caplog.records) == 1
    file.write_bytes(NEW)
    clock.now += trust.RELOAD_SECONDS
    assert subject.over(BASE).client_ca == NEW


def test_at_start_every_file_must_be_usable(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    settings = AuthenticationSettings(
        client_ca_file=str(tmp_path / "ca.crt"),
        requestheader_ca_file=str(tmp_path / "nowhere"),
    )
    with pytest.raises(errors.ConfigError) as caught:
        FlagTrust(settings)
    flags = [fault.path for fault in caught.value.diagnostics]
    assert flags == ["--client-ca-file", "--requestheader-client-ca-file"]


async def test_the_configmap_counts_once_it_is_followed(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(OLD)
    subject = FlagTrust(AuthenticationSettings(client_ca_file=str(tmp_path / "ca.crt")))
    assert subject.current().client_ca == OLD
    assert subject.current().allowed_names == ()
    async with FakeKubeAPI() as api, KubeClient(api.config()) as client:
        source = AuthenticationSource(client, ca_bundle.parse)
        source.current = BASE
        subject.follow(source)
        assert replace(subject.current(), generation=7) == replace(BASE, client_ca=OLD)
