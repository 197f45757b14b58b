"""One process: made whole or not at all. `tests/functional/process` runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.app.process import RELIST_TURN_SECONDS, Process
from metrics_apiserver.base import errors
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.provider.relist import Relister
from tests.fakes import pki, process
from tests.fakes.command_line import serve_settings
from tests.fakes.kubeapi import FakeKubeAPI


def refused(settings: ServeSettings) -> list[str]:
    """What is said of a server that cannot be made."""
    with pytest.raises(ExceptionGroup) as caught:
        Process(settings)
    assert all(isinstance(error, errors.ConfigError) for error in caught.value.exceptions)
    return [str(error) for error in caught.value.exceptions]


def in_cluster(directory: Path, *words: str) -> ServeSettings:
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_bytes(FakeKubeAPI().kubeconfig({"token": "t"}))
    roles = ("lister", "authentication", "authorization")
    return serve_settings(
        directory, *(f"--{role}-kubeconfig={kubeconfig}" for role in roles), *words
    )


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
    subject = Process(in_cluster(tmp_path))
    assert subject._serving.context is not None
    await subject._close()
    pair = process.write_pair(tmp_path, pki.server(pki.authority(), "localhost"))
    standalone = Process(serve_settings(tmp_path, "--standalone", *pair))
    expiry = pki.NOW.timestamp() + 30 * 86400
    assert standalone._serving.not_after == pytest.approx(expiry, abs=9)
    await standalone._close()


async def test_a_relist_loop_that_hangs_is_seen(tmp_path: Path) -> None:
    subject = Process(serve_settings(tmp_path, "--standalone", "--metrics-relist-interval=10s"))
    relister: Relister = subject._sources.relister
    overdue = subject._state().relist_overdue
    assert not overdue()
    bound = 15 + RELIST_TURN_SECONDS
    subject._started -= bound + 1
    assert overdue()
    await relister.relist_once()
    assert not overdue()
    relister.last_turn -= bound + 1
    assert overdue()
    await subject._close()
