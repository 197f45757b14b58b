"""Every conformance case against the real process, as kube-apiserver's front proxy asks it.

The environment is that of the cases: a fake kube-apiserver with their objects and a real
Prometheus with their series. `tests/e2e` asks the same through a real kube-apiserver.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.core.model import GroupResource
from tests.conformance import comparison
from tests.conformance.comparison import Case
from tests.fakes import backfill, process, prometheus
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import PROXY, ServerProcess, as_user
from tests.fakes.servers import Client, Reply

PLURALS = {"Ingress": "ingresses"}
# The cases of each rule file, and the suffix of its series and objects.
CONFIGS = {"seed": "", "broad": "", "wild": "-wild"}
# Who reads in the recordings: the administrator of the cluster.
READER = as_user("admin", "system:masters", "system:authenticated")


def put(api: FakeKubeAPI, item: dict[str, Any]) -> None:
    group = item["apiVersion"].rpartition("/")[0]
    kind = GroupResource(group, PLURALS.get(item["kind"], item["kind"].lower() + "s"))
    metadata = item["metadata"]
    labels = metadata.get("labels")
    api.put(kind, metadata.get("namespace", ""), metadata["name"], labels)


@asynccontextmanager
async def serving(directory: Path, config: str, backend: str) -> AsyncIterator[ServerProcess]:
    """A process over one of the rule files, ready and with its first values."""
    async with FakeKubeAPI() as api:
        process.trust(api)
        objects = comparison.FOLDER / f"objects{CONFIGS[config]}.json"
        for item in json.loads(objects.read_text()):
            put(api, item)
        rules = comparison.rules_file(config).read_text()
        flags = process.flags(directory, api, backend, rules)
        async with ServerProcess(directory, flags) as server:
            await server.ready()
            first = next(case for case in cases_of(config) if "*" in case.path)
            agrees = partial(is_as_expected, first)
            await server.agrees(first.path, agrees, *READER, certified=[PROXY])
            yield server


def cases_of(config: str) -> list[Case]:
    known = comparison.load_cases(comparison.FOLDER / f"cases{CONFIGS[config]}.json")
    return [case for case in known if case.config == config]


def read(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        return reply.body.decode()


def is_as_expected(case: Case, reply: Reply) -> bool:
    return not comparison.differences(case, reply.status, read(reply))


async def ask(client: Client, case: Case) -> list[str]:
    """What is wrong with the answer to one case."""
    async with asyncio.timeout(10):
        reply = await client.get(case.path, *READER, "Accept: application/json", method=case.method)
    return [f"{case}: {line}" for line in comparison.differences(case, reply.status, read(reply))]


@pytest.mark.parametrize("config", CONFIGS)
async def test_cases(config: str, tmp_path: Path) -> None:
    if not prometheus.is_installed("prometheus"):
        pytest.skip("prometheus is not on PATH")
    directory = tmp_path / "prometheus"
    directory.mkdir()
    series = (comparison.FOLDER / f"series{CONFIGS[config]}.prom").read_text()
    cases = cases_of(config)
    wrong: list[str] = []
    with backfill.running(directory, series) as backend:
        async with serving(tmp_path, config, backend.url) as server, server.client(PROXY) as client:
            for case in cases:
                wrong += await ask(client, case)
    assert cases
    assert not wrong, "\n".join(wrong)
