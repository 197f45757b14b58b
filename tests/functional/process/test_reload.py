"""Rows F1 and F2: rule files change under load, as ConfigMap volumes change them."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from pathlib import Path

from tests.fakes import process
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, ServerProcess, items
from tests.fakes.prometheus import Backend

LOAD = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/load"
OLD = {"web-0": "36", "web-1": "72500m"}
NEW = {"web-0": "1036", "web-1": "1072500m"}
QUERY = "<<.Series>>{<<.LabelMatchers>>}"
RELOAD_OK = "metrics_apiserver_config_last_reload_successful"


def version(added: int) -> str:
    """The rules with something added to each value, and another metric beside."""
    return process.RULES.replace(QUERY, f"{QUERY} + {added}")


class Volume:
    """A ConfigMap volume: the file is a link through `..data`, which is swapped as a whole."""

    def __init__(self, directory: Path, text: str) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        directory.mkdir()
        self.file = directory / "rules.yaml"
        self.swap(text)
        self.file.symlink_to(Path("..data") / "rules.yaml")

    def swap(self, text: str) -> None:
        content = self._directory / f"..{next(self._numbers)}"
        content.mkdir()
        (content / "rules.yaml").write_text(text)
        link = self._directory / "..data_tmp"
        link.symlink_to(content.name)
        link.replace(self._directory / "..data")


async def test_a_hundred_swaps_a_second(tmp_path: Path, kube: FakeKubeAPI, values: Backend) -> None:
    volume = Volume(tmp_path / "volume", version(0))
    flags = [*process.flags(tmp_path, kube, values.url), f"--config={volume.file}"]
    seen: list[tuple[tuple[str, str], ...]] = []
    offered: set[tuple[str, ...]] = set()
    ended = asyncio.Event()

    async def read(server: ServerProcess) -> None:
        async with server.client(ADMIN) as client:
            while not ended.is_set():
                seen.append(tuple(items(await client.get(LOAD)).items()))

    async def discover(server: ServerProcess) -> None:
        async with server.client(ADMIN) as client:
            while not ended.is_set():
                reply = await client.get("/apis/custom.metrics.k8s.io/v1beta1")
                offered.add(tuple(r["name"] for r in json.loads(reply.body)["resources"]))

    async with ServerProcess(tmp_path, flags) as server:
        await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(read(server))
            group.create_task(discover(server))
            for number in range(100):
                volume.swap(version(1000 * (number % 2)))
                server.signal(signal.SIGHUP)
                await asyncio.sleep(0.01)
            volume.swap(version(1000))
            await server.agrees(
                LOAD, lambda reply: items(reply) == NEW, certified=[ADMIN], seconds=10
            )
            ended.set()
    # Each answer is wholly of one version; what both offer never went away.
    assert set(seen) <= {tuple(OLD.items()), tuple(NEW.items())}
    assert len(offered) == 1
    assert len(seen) > 50


async def test_a_rule_file_that_cannot_be_used_leaves_the_old_one(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend
) -> None:
    volume = Volume(tmp_path / "volume", version(0))
    flags = [*process.flags(tmp_path, kube, values.url), f"--config={volume.file}"]
    async with ServerProcess(tmp_path, flags) as server:
        await server.agrees(LOAD, lambda reply: reply.status == 200, certified=[ADMIN])
        broken = {
            "unknown key": "rules: []\nsurprise: 1\n",
            "unknown field .Serie;": version(0).replace("<<.Series>>", "<<.Serie>>"),
            "no rules any more": "# nothing\n",
            "larger than": "# " + "x" * (10 << 20),
        }
        for reason, text in broken.items():
            volume.swap(text)
            server.signal(signal.SIGHUP)
            await server.until(lambda reason=reason: reason in server.log)
            assert (await server.metrics())[RELOAD_OK] == 0
            assert items(await server.get(LOAD, certified=[ADMIN])) == OLD
        volume.file.unlink()
        await server.until(lambda: "cannot read the rule file" in server.log)
        assert items(await server.get(LOAD, certified=[ADMIN])) == OLD
        await server.ready()
        # A plain file, written piece by piece, counts when it is whole.
        text = version(1000)
        with volume.file.open("w") as file:
            for start in range(0, len(text), len(text) // 3):
                file.write(text[start : start + len(text) // 3])
                file.flush()
                await asyncio.sleep(0.3)
        await server.agrees(LOAD, lambda reply: items(reply) == NEW, certified=[ADMIN], seconds=10)
        assert (await server.metrics())[RELOAD_OK] == 1
