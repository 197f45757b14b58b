"""Row C8: many users read many namespaces at once; nobody sees a value that is not theirs to see.

Each value says whose it is: pod `p` of tenant `n` has 1000 (n + 1) + p.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import process
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import PROXY, ServerProcess, as_user, items
from tests.fakes.prometheus import Backend
from tests.fakes.servers import Reply

TENANTS = 50
USERS = 50
CONNECTIONS = 25


def may_read(user: int, tenant: int) -> bool:
    """A third of all namespaces, others for each user."""
    return (user * 7 + tenant) % 3 == 0


def decide(spec: dict[str, Any]) -> dict[str, Any]:
    """SubjectAccessReview by `may_read`."""
    attributes = spec["resourceAttributes"]
    user, tenant = spec["user"].removeprefix("user-"), attributes["namespace"].removeprefix("ns-")
    return {"allowed": may_read(int(user), int(tenant)), "reason": f"rule of {user} on {tenant}"}


def paths(tenant: int) -> list[str]:
    group = "/apis/custom.metrics.k8s.io/v1beta1"
    namespace = f"{group}/namespaces/ns-{tenant:02}"
    return [
        f"{namespace}/pods/*/secret",
        f"{namespace}/pods/*/secret?labelSelector=app%3Dtenant",
        f"{namespace}/pods/pod-1/secret",
        # A selector that asks for somebody else's.
        f"{namespace}/pods/*/secret?metricLabelSelector=namespace%3Dns-{(tenant + 1) % TENANTS:02}",
        f"{group.replace('v1beta1', 'v1beta2')}/namespaces/ns-{tenant:02}/pods/*/secret",
    ]


def classify(reply: Reply, user: int, tenant: int) -> str:
    """What kind of answer it is; fails on a value that should not be in it."""
    text = reply.body.decode()
    if not may_read(user, tenant):
        assert reply.status == 403, (user, tenant, reply)
        assert "value" not in json.loads(text)
        return "forbidden"
    expected = {f"pod-{p}": process.shown(1000 * (tenant + 1) + p) for p in range(2)}
    found = items(reply)
    assert found.items() <= expected.items(), (user, tenant, found)
    return "served" if found else "nothing"


@pytest.mark.parametrize(("freshness", "reads"), [("5s", USERS * TENANTS), ("0s", 600)])
async def test_no_foreign_value(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend, freshness: str, reads: int
) -> None:
    kube.authorize = decide
    flags = [*process.flags(tmp_path, kube, values.url), f"--query-freshness={freshness}"]
    chance = random.Random(8)
    work = [(user, tenant) for user in range(USERS) for tenant in range(TENANTS)]
    chance.shuffle(work)
    del work[reads:]
    allowed = sum(may_read(user, tenant) for user, tenant in work)
    kinds: Counter[str] = Counter()

    async def tenant_reads(server: ServerProcess) -> None:
        async with server.client(PROXY) as client:
            while work:
                user, tenant = work.pop()
                target = chance.choice(paths(tenant))
                reply = await client.get(target, *as_user(f"user-{user}"))
                kinds[classify(reply, user, tenant)] += 1

    async with ServerProcess(tmp_path, flags) as server:
        await server.ready()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(tenant_reads(server))
    assert kinds["forbidden"] == reads - allowed
    # Only the selector for a foreign namespace finds nothing.
    assert kinds["served"] > 0.7 * allowed
    assert kinds["served"] + kinds["nothing"] == allowed
