"""Tokens and authorities that change under load: no call fails."""

from __future__ import annotations

from pathlib import Path

from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.connection import FileOrData
from metrics_apiserver.kube.wire import KubeRequest
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.waiting import running, until


class _Load:
    """Calls without a pause; counts them by status."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.statuses: dict[int, int] = {}

    async def run(self) -> None:
        while True:
            response = await self._client.request(KubeRequest("GET", "/api/v1/pods"))
            self.statuses[response.status] = self.statuses.get(response.status, 0) + 1

    async def more(self, calls: int) -> None:
        """Returns when so many more calls were answered."""
        target = sum(self.statuses.values()) + calls
        await until(lambda: sum(self.statuses.values()) >= target)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


async def test_tokens(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("token-0")
    async with FakeKubeAPI() as api, KubeClient(api.config(token_file=token)) as client:
        api.accepted_tokens = {"token-0"}
        load = _Load(client)
        async with running(load.run(), load.run(), load.run()):
            for i in range(1, 30):
                await load.more(10)
                _replace(token, b"token-%d" % i)
                # The old one is refused at once, which is harsher than an expiry.
                api.accepted_tokens = {f"token-{i}"}
            await load.more(10)
    assert set(load.statuses) == {200}
    assert len(api.requests) > 300


async def test_authorities(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    async with FakeKubeAPI() as api:
        ca.write_bytes(api.ca_pem)
        config = api.config(ca=FileOrData("ca", path=ca))
        async with KubeClient(config) as client:
            for _ in range(5):
                load = _Load(client)
                async with running(load.run(), load.run()):
                    await load.more(5)
                # New connections from here on.
                await api.stop()
                api.rotate_ca()
                _replace(ca, api.ca_pem)
                await api.start()
                async with running(load.run(), load.run()):
                    await load.more(5)
                assert set(load.statuses) == {200}
