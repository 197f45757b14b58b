"""One process is built whole or not at all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from metrics_apiserver.app import build
from metrics_apiserver.base import errors
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.provider.relist import Relister
from tests.fakes import pki, process
from tests.fakes.command_line import serve_settings
from tests.fakes.kubeapi import FakeKubeAPI


def refused(settings: ServeSettings) -> list[str]:
    """What is said of a server that cannot be made."""
    with pytest.raises(ExceptionGroup) as caught:
        build.build(settings)
    assert all(isinstance(error, errors.ConfigError) for error in caught.value.exceptions)
    return [str(error) for error in caught.value.exceptions]


def in_cluster(directory: Path, *words: str) -> ServeSettings:
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_bytes(FakeKubeAPI().kubeconfig({"token": "t"}))
    roles = ("lister", "authentication", "authorization")
    return serve_settings(
        directory, *(f"--{role}-kubeconfig={kubeconfig}" for role in roles), *words
    )


async def close(subject: build.Components) -> None:
    await subject.prometheus.close()
    await subject.environment.close()


# --- made ----------------------------------------------------------------------------------


def test_everything_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("surprise: 1")
    (tmp_path / "serving.crt").write_text("no pair")
    settings = serve_settings(
        tmp_path,
        "--lister-kubeconfig=gone",
        "--authentication-kubeconfig=gone",
        "--authorization-kubeconfig=gone",
        "--prometheus-token-file=gone",
        "--prometheus-auth-config=gone",
        "--authorization-always-allow-paths=/a*b",
        f"--tls-cert-file={tmp_path / 'serving.crt'}",
        f"--tls-private-key-file={tmp_path / 'serving.crt'}",
    )
    said = refused(settings)
    assert [line for line in said if line.startswith("gone: ")] == [
        "gone: cannot be read: No such file or directory"
    ]
    for part in ("--authorization-always", "reach Prometheus", "surprise", "--tls-cert-file"):
        assert sum(part in line for line in said) == 1, part
    assert len(said) == 5


def test_a_wrong_rule_file_and_nothing_else(tmp_path: Path) -> None:
    settings = in_cluster(tmp_path)
    (tmp_path / "rules.yaml").write_text("surprise: 1")
    assert len(refused(settings)) == 1
    wrong_pair = [f"--tls-cert-file={tmp_path / 'x'}", f"--tls-private-key-file={tmp_path / 'x'}"]
    assert len(refused(in_cluster(tmp_path, *wrong_pair))) == 2
    # No pair is made for a process that will not serve.
    assert not (tmp_path / "certificates").exists()
    assert len(refused(serve_settings(tmp_path, "--standalone"))) == 1


def test_a_wrong_pair_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "certificates").write_text("a file in its place")
    (line,) = refused(in_cluster(tmp_path))
    assert "--cert-dir" in line


async def test_made_whole_nothing_is_asked_yet(tmp_path: Path) -> None:
    subject = build.build(in_cluster(tmp_path))
    assert subject.serving.context is not None
    await close(subject)
    pair = process.write_pair(tmp_path, pki.server(pki.authority(), "localhost"))
    standalone = build.build(serve_settings(tmp_path, "--standalone", *pair))
    expiry = pki.NOW.timestamp() + 30 * 86400
    assert standalone.serving.not_after == pytest.approx(expiry, abs=9)
    await close(standalone)


async def test_a_relist_loop_that_hangs_is_seen(tmp_path: Path) -> None:
    subject = build.build(serve_settings(tmp_path, "--standalone", "--metrics-relist-interval=10s"))
    relister: Relister = subject.sources.relister
    started = time.monotonic()

    def overdue(seconds: float) -> bool:
        return build.is_relist_overdue(relister, 10.0, started, started + seconds)

    bound = 15 + build.RELIST_TURN_SECONDS
    assert not overdue(0)
    assert overdue(bound + 1)
    await relister.relist_once()
    relister.last_turn = started + bound
    assert not overdue(bound + 1)
    assert overdue(2 * bound + 1)
    await close(subject)
