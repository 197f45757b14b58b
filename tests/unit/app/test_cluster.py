"""Surroundings in a cluster: what is known, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from metrics_apiserver.app import cluster
from metrics_apiserver.app.environment import World
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.base import errors
from metrics_apiserver.base.collect import Faults
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import selector
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube.reviews import ResourceAttributes
from tests.fakes import process
from tests.fakes.command_line import settings
from tests.fakes.kubeapi import CONFIGMAPS, FakeKubeAPI
from tests.fakes.kubediscovery import DEPLOYMENTS, PODS
from tests.fakes.kubewire import status
from tests.fakes.waiting import running, spawning, until

ALWAYS = 1_000_000
CONFIGMAP = "/api/v1/namespaces/kube-system/configmaps"


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as made:
        process.trust(made)
        made.put(PODS.group_resource, "default", "web-0")
        made.put(DEPLOYMENTS.group_resource, "default", "web")
        made.users["good"] = {"username": "bob"}
        yield made


class Made:
    """A world, and what it told."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.mappers: list[RESTMapper] = []
        self.trusts = 0
        self.world: World | None = None

    def trusted(self) -> None:
        self.trusts += 1


@asynccontextmanager
async def made(directory: Path, api: FakeKubeAPI, *words: str) -> AsyncIterator[Made]:
    """A world whose loops run."""
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_bytes(api.kubeconfig({"token": "server"}))
    roles = ("lister", "authentication", "authorization")
    files = [f"--{role}-kubeconfig={kubeconfig}" for role in roles]
    result = Made()
    async with AsyncExitStack() as stack:
        spawn = await stack.enter_async_context(spawning())
        world = result.world = cluster.make_world(
            settings(directory, *files, *words),
            result.faults,
            Telemetry(),
            spawn,
            result.mappers.append,
            result.trusted,
        )
        assert world is not None
        stack.push_async_callback(world.close)
        await stack.enter_async_context(running(*(_run(loop) for loop in world.loops.values())))
        yield result


async def _run(loop: Loop) -> None:
    await loop()


def world_of(result: Made) -> World:
    assert result.world is not None
    return result.world


def reasons(world: World) -> dict[str, str | None]:
    return {name: check() for name, check in world.checks.items()}


async def test_a_good_cluster(tmp_path: Path, api: FakeKubeAPI) -> None:
    async with made(tmp_path, api) as result:
        world = world_of(result)
        await until(lambda: not any(reasons(world).values()))
        assert set(world.checks) == {"discovery", "informer-sync", "authentication-configuration"}
        assert world.mapper() is result.mappers[0]
        assert result.trusts == 1
        assert world.authentication().client_ca == process.CLIENT_CA.pem
        assert world.authentication().allowed_names == ("front-proxy-client",)
        anything = selector.parse("")
        assert await world.objects.names(PODS, "default", anything) == ["web-0"]
        assert await world.objects.names(DEPLOYMENTS, "default", anything) == ["web"]
        assert world.watched() == {"pods": 1, "deployments.apps": 1}
        assert world.troubles() == {}
        assert world.tokens is not None
        assert world.access is not None
        user = await world.tokens.review("good")
        assert user is not None
        attributes = ResourceAttributes("get", "custom.metrics.k8s.io", "v1beta1", "pods")
        assert (await world.access.review(user, attributes)).allowed
        # All roles have one identity and share it.
        assert {seen.authorization for seen in api.requests} == {"Bearer server"}


async def test_missing_permissions_are_named(tmp_path: Path, api: FakeKubeAPI) -> None:
    for path in ("/api/v1/pods", CONFIGMAP):
        api.fail(path, status(403, "Forbidden"), times=ALWAYS)
    async with made(tmp_path, api) as result:
        world = world_of(result)
        await until(lambda: len(world.troubles()) == 2)
        troubles = world.troubles()
        assert 'grant "list,watch" on pods in its ClusterRole' in troubles["watch of pods"]
        role = "bind the Role extension-apiserver-authentication-reader"
        assert role in troubles["authentication configuration"]
        await until(lambda: world.mapper() is not None)
        said = reasons(world)
        assert said["discovery"] is None
        assert said["informer-sync"] == f"pods are not known yet: {troubles['watch of pods']}"
        assert role in (said["authentication-configuration"] or "")
        api.heal()
        await until(lambda: not any(reasons(world).values()))
        assert world.troubles() == {}


async def test_a_cluster_that_is_away(tmp_path: Path, api: FakeKubeAPI) -> None:
    await api.stop()
    async with made(tmp_path, api) as result:
        world = world_of(result)
        await until(lambda: len(world.troubles()) == 3)
        assert "kube-apiserver cannot be reached" in world.troubles()["discovery"]
        assert (reasons(world)["discovery"] or "").startswith("resources are not known yet: kube")
        assert (world.mapper(), result.trusts) == (None, 0)
        assert world.authentication().client_ca == b""
        await api.start()
        await until(lambda: not any(reasons(world).values()))
    async with made(tmp_path, api) as result:
        # Before anything was tried, nothing is known to be wrong.
        assert reasons(world_of(result))["informer-sync"] == "pods are not known yet"


async def test_a_configmap_that_cannot_be_used_is_trouble(tmp_path: Path, api: FakeKubeAPI) -> None:
    async with made(tmp_path, api) as result:
        world = world_of(result)
        await until(lambda: not any(reasons(world).values()))
        api.put(CONFIGMAPS, "kube-system", "extension-apiserver-authentication", data={})
        await until(lambda: "missing or empty" in str(world.troubles()))
        # What was read before stays in force, so the server is ready all the same.
        assert world.authentication().client_ca == process.CLIENT_CA.pem
        assert not any(reasons(world).values())


async def test_without_the_lookup_flags_alone_count(tmp_path: Path, api: FakeKubeAPI) -> None:
    (tmp_path / "ca.crt").write_bytes(process.PROXY_CA.pem)
    words = ("--authentication-skip-lookup", f"--client-ca-file={tmp_path / 'ca.crt'}")
    async with made(tmp_path, api, *words) as result:
        world = world_of(result)
        assert set(world.checks) == {"discovery", "informer-sync"}
        await until(lambda: not any(reasons(world).values()))
        assert api.count(CONFIGMAP) == 0
        assert world.authentication().client_ca == process.PROXY_CA.pem
        assert world.authentication().requestheader_ca == b""


def test_every_fault_is_kept(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("[")
    told = settings(
        tmp_path,
        f"--lister-kubeconfig={tmp_path / 'broken'}",
        f"--authorization-kubeconfig={tmp_path / 'gone'}",
        f"--client-ca-file={tmp_path / 'broken'}",
    )
    faults = Faults()
    made = cluster.make_world(
        told,
        faults,
        Telemetry(),
        lambda work, _name: work.close(),
        lambda _mapper: None,
        lambda: None,
    )
    assert made is None
    said = [str(error) for error in faults.errors]
    assert len(said) == 4
    assert said[0].startswith(f"{tmp_path / 'broken'}:1: is not YAML")
    assert said[1].startswith("in-cluster: ")
    assert said[2].startswith(f"{tmp_path / 'gone'}: cannot be read")
    assert said[3].startswith("command line: --client-ca-file")
    assert all(isinstance(error, errors.ConfigError) for error in faults.errors)
