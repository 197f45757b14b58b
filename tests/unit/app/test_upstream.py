"""`--prometheus-auth-config` and `-incluster`: a kubeconfig's identity, sent to Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.app import backends, upstream
from metrics_apiserver.base import errors
from metrics_apiserver.base.telemetry import Telemetry
from tests.fakes import upstream as fakes
from tests.fakes.command_line import serve_settings
from tests.fakes.kubeapi import FakeKubeAPI


def kubeconfig(directory: Path, api: FakeKubeAPI) -> str:
    (directory / "token").write_text("first")
    (directory / "kubeconfig").write_bytes(api.kubeconfig({"tokenFile": "token"}))
    return f"--prometheus-auth-config={directory / 'kubeconfig'}"


def test_nothing_is_taken_unasked(tmp_path: Path) -> None:
    assert upstream.from_kubeconfig(serve_settings(tmp_path)) is None


@pytest.mark.parametrize("flag", ["--prometheus-auth-incluster", "--prometheus-auth-config=gone"])
def test_what_is_not_there_is_a_fault(tmp_path: Path, flag: str) -> None:
    with pytest.raises(errors.ConfigError):
        upstream.from_kubeconfig(serve_settings(tmp_path, flag))


async def test_the_token_goes_with_each_query_and_is_read_anew(tmp_path: Path) -> None:
    answer = fakes.vector(({}, "1"))
    async with fakes.Upstream(mood=answer) as backend:
        settings = serve_settings(
            tmp_path, f"--prometheus-url={backend.url}", kubeconfig(tmp_path, FakeKubeAPI())
        )
        client = backends.make_prometheus(settings, Telemetry(), upstream.from_kubeconfig(settings))
        await client.query("1", timeout=5.0)
        # Prometheus refuses the old token; the file holds a new one.
        (tmp_path / "token").write_text("second")
        backend.script = [fakes.answer("", 401)]
        await client.query("1", timeout=5.0)
        # It refuses this one too, and there is no other: never once more without a token.
        backend.script = [fakes.answer("", 401)]
        with pytest.raises(errors.UpstreamError):
            await client.query("1", timeout=5.0)
        await client.close()
    sent = [request.headers.get("authorization") for request in backend.requests]
    assert sent == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


async def test_the_kubeconfig_s_authority_verifies_prometheus(tmp_path: Path) -> None:
    api = FakeKubeAPI()
    async with fakes.Upstream(tls=api._tls, mood=fakes.vector(({}, "1"))) as backend:
        url = f"--prometheus-url={backend.url}"
        settings = serve_settings(tmp_path, url, kubeconfig(tmp_path, api))
        known = backends.make_prometheus(settings, Telemetry(), upstream.from_kubeconfig(settings))
        assert (await known.query("1", timeout=5.0)).samples[0].value == 1.0
        await known.close()
        stranger = backends.make_prometheus(settings, Telemetry(), None)
        with pytest.raises(errors.UpstreamError):
            await stranger.query("1", timeout=5.0)
        await stranger.close()
