"""Both forms of discovery give the same table; a failed refresh keeps the last good one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import GroupResource, MappedResource
from metrics_apiserver.kube import discovery
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.discovery import MapperSource
from tests.fakes import kubediscovery
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import Fault, status
from tests.fakes.waiting import running, until


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as server:
        yield server


@pytest.fixture
async def client(api: FakeKubeAPI) -> AsyncIterator[KubeClient]:
    async with KubeClient(api.config()) as made:
        yield made


def _version(version: str, *resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": version, "resources": list(resources), **more}


def _resource(plural: str, kind: str, scope: str = "Namespaced", **more: Any) -> dict[str, Any]:
    return {"resource": plural, "responseKind": {"kind": kind}, "scope": scope, **more}


def _group(name: str, *versions: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "versions": list(versions)}


def _list(*groups: Any) -> bytes:
    return orjson.dumps({"kind": "APIGroupDiscoveryList", "items": list(groups)})


@pytest.mark.parametrize("legacy", [False, True])
async def test_both_forms(api: FakeKubeAPI, client: KubeClient, legacy: bool) -> None:
    api.legacy_discovery = legacy
    mapper = await discovery.discover(client)
    assert mapper.resources == kubediscovery.RESOURCES
    assert len(api.requests) == (6 if legacy else 2)
    group, kind = "apidiscovery.k8s.io", "APIGroupDiscoveryList"
    assert api.requests[0].accept.split(",") == [
        f"application/json;g={group};v=v2;as={kind}",
        f"application/json;g={group};v=v2beta1;as={kind}",
        "application/json",
    ]


async def test_groups_in_the_legacy_form_beside_an_aggregated_core(
    api: FakeKubeAPI, client: KubeClient
) -> None:
    legacy = kubediscovery.document("/apis", api.resources, legacy=True)
    api.discovery["/apis"] = orjson.dumps(legacy)
    mapper = await discovery.discover(client)
    assert {r.group_resource for r in mapper.resources} == {
        r.group_resource for r in kubediscovery.RESOURCES
    }


async def test_aggregated_details(api: FakeKubeAPI, client: KubeClient) -> None:
    api.discovery["/api"] = _list(
        _group("", _version("v1", _resource("pods", "Pod", singularResource="pod")))
    )
    api.discovery["/apis"] = _list(
        "nothing",
        _group("custom.metrics.k8s.io", _version("v1beta1", _resource("pods/x", "Value"))),
        _group("external.metrics.k8s.io", _version("v1beta1", _resource("x", "Value"))),
        _group(
            "apps",
            _version("v2", _resource("deployments", "Deployment")),
            _version("v1", _resource("deployments", "Deployment"), _resource("oldsets", "OldSet")),
        ),
        _group("gone.example.com", _version("v1", _resource("a", "A"), freshness="Stale")),
        _group(
            "example.com",
            _version(
                "v1",
                _resource("Bad/sub", "Bad"),
                _resource("", "Bad"),
                {"resource": "nokind", "scope": "Namespaced"},
                {"resource": 5},
                _resource("globals", "Global", "Cluster"),
            ),
        ),
        {"metadata": None, "versions": None},
    )
    mapper = await discovery.discover(client)
    assert [(str(r.group_resource), r.version, r.singular) for r in mapper.resources] == [
        ("pods", "v1", "pod"),
        ("deployments.apps", "v2", "deployment"),
        ("oldsets.apps", "v1", "oldset"),
        ("globals.example.com", "v1", "global"),
    ]
    assert not mapper.resources[-1].namespaced


async def test_legacy_details(api: FakeKubeAPI, client: KubeClient) -> None:
    """The preferred version counts first; a group that fails is left out; ours is not asked."""
    api.resources = (
        *kubediscovery.RESOURCES,
        MappedResource("batch", "v2", "jobs", "job", "Job", True),
        MappedResource("batch", "v2", "cronjobs", "cronjob", "CronJob", True),
        MappedResource("custom.metrics.k8s.io", "v1beta1", "x", "x", "X", True),
    )
    api.legacy_discovery = True
    api.fail("/apis/apps/v1", status(503))
    mapper = await discovery.discover(client)
    assert mapper.exact(GroupResource("apps", "deployments")) is None
    found = {r.plural: r.version for r in mapper.resources if r.group == "batch"}
    assert found == {"jobs": "v1", "cronjobs": "v2"}
    assert api.count("/apis/custom.metrics.k8s.io") == 0


@pytest.mark.parametrize("path", ["/api", "/apis", "/api/v1", "/apis/apps/v1"])
async def test_a_lost_connection_fails_all_of_it(
    api: FakeKubeAPI, client: KubeClient, path: str
) -> None:
    api.legacy_discovery = True
    api.fail(path, Fault("reset"), times=100)
    with pytest.raises(errors.KubeError):
        await discovery.discover(client)


async def test_core_must_be_there(api: FakeKubeAPI, client: KubeClient) -> None:
    api.legacy_discovery = True
    api.fail("/api/v1", status(500))
    with pytest.raises(errors.KubeError):
        await discovery.discover(client)


async def test_legacy_is_bounded(api: FakeKubeAPI, client: KubeClient) -> None:
    api.legacy_discovery = True
    versions = [{"version": f"v{i}"} for i in range(discovery.MAX_LEGACY_VERSIONS + 1)]
    api.discovery["/apis"] = orjson.dumps({"groups": [{"name": "a", "versions": versions}]})
    with pytest.raises(errors.KubeError):
        await discovery.discover(client)


async def test_the_last_good_table_stays(api: FakeKubeAPI, client: KubeClient) -> None:
    changes: list[int] = []
    source = MapperSource(client, on_change=lambda mapper: changes.append(len(mapper)))
    assert source.current is None
    await source.refresh_once()
    good = source.current
    api.fail("/api", status(500), times=2)
    for _ in range(2):
        with pytest.raises(errors.KubeError):
            await source.refresh_once()
    assert source.current is good
    problem = source.last_error
    assert problem is not None
    await source.refresh_once()
    assert source.last_error is not problem
    assert source.last_error is None
    known = len(kubediscovery.RESOURCES)
    assert changes == [known]
    api.resources = api.resources[:-1]
    await source.refresh_once()
    assert changes == [known, known - 1]


async def test_a_server_that_comes_late(api: FakeKubeAPI, client: KubeClient) -> None:
    await api.stop()
    source = MapperSource(client)
    async with running(source.run()):
        await until(lambda: source.last_error is not None)
        await api.start()
        await until(lambda: source.current is not None, 2.5)


async def test_a_refresh_may_be_asked_for(api: FakeKubeAPI, client: KubeClient) -> None:
    source = MapperSource(client, min_refresh_seconds=0.3)
    async with running(source.run()):
        await until(lambda: api.count("/apis") == 1)
        for _ in range(100):
            source.ask()
        await until(lambda: api.count("/apis") == 2)
        source.ask()
        await until(lambda: api.count("/apis") == 3)
    assert api.count("/apis") == 3


async def test_refreshes_come_by_themselves(api: FakeKubeAPI, client: KubeClient) -> None:
    source = MapperSource(client)
    async with running(source.run(interval_seconds=0.01)):
        await until(lambda: api.count("/apis") >= 3)
