"""The environment in a cluster: what is known, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from metrics_apiserver.app import cluster
from metrics_apiserver.app.environment import Environment
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.base import errors
from metrics_apiserver.base.collect import ErrorCollector
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import selector
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube.reviews import ResourceAttributes
from tests.fakes import process
from tests.fakes.command_line import serve_settings
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
    """A environment, and what it settings."""

    def __init__(self) -> None:
        self.faults = ErrorCollector()
        self.mappers: list[RESTMapper] = []
        self.trusts = 0
        self.environment: Environment | None = None

    def trusted(self) -> None:
        self.trusts += 1


@asynccontextmanager
async def made(directory: Path, api: FakeKubeAPI, *words: str) -> AsyncIterator[Made]:
    """A environment whose loops run."""
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_bytes(api.kubeconfig({"token": "server"}))
    roles = ("lister", "authentication", "authorization")
    files = [f"--{role}-kubeconfig={kubeconfig}" for role in roles]
    result = Made()
    async with AsyncExitStack() as stack:
        spawn = await stack.enter_async_context(spawning())
        environment = result.environment = cluster.build_environment(
            serve_settings(directory, *files, *words),
            result.faults,
            Telemetry(),
            spawn,
            result.mappers.append,
            result.trusted,
        )
        assert environment is not None
        stack.push_async_callback(environment.close)
        await stack.enter_async_context(
            running(*(_run(loop) for loop in environment.loops.values()))
        )
        yield result


async def _run(loop: Loop) -> None:
    await loop()


def environment_of(result: Made) -> Environment:
    assert result.environment is not None
    return result.environment


def reasons(environment: Environment) -> dict[str, str | None]:
    return {name: check() for name, check in environment.checks.items()}


async def test_a_good_cluster(tmp_path: Path, api: FakeKubeAPI) -> None:
    async with made(tmp_path, api) as result:
        environment = environment_of(result)
        await until(lambda: not any(reasons(environment).values()))
        assert set(environment.checks) == {
            "discovery",
            "informer-sync",
            "authentication-configuration",
        }
        assert environment.mapper() is result.mappers[0]
        assert result.trusts == 1
        assert environment.authentication().client_ca == process.CLIENT_CA.pem
        assert environment.authentication().allowed_names == ("front-proxy-client",)
        anything = selector.parse("")
        assert await environment.objects.names(PODS, "default", anything) == ["web-0"]
        assert await environment.objects.names(DEPLOYMENTS, "default", anything) == ["web"]
        assert environment.watched() == {"pods": 1, "deployments.apps": 1}
        assert environment.conditions() == {}
        assert environment.tokens is not None
        assert environment.access is not None
        user = await environment.tokens.review("good")
        assert user is not None
        attributes = ResourceAttributes("get", "custom.metrics.k8s.io", "v1beta1", "pods")
        assert (await environment.access.review(user, attributes)).allowed
        # All roles have one identity and share it.
        assert {seen.authorization for seen in api.requests} == {"Bearer server"}


async def test_missing_permissions_are_named(tmp_path: Path, api: FakeKubeAPI) -> None:
    for path in ("/api/v1/pods", CONFIGMAP):
        api.fail(path, status(403, "Forbidden"), times=ALWAYS)
    async with made(tmp_path, api) as result:
        environment = environment_of(result)
        await until(lambda: len(environment.conditions()) == 2)
        conditions = environment.conditions()
        assert 'grant "list,watch" on pods in its ClusterRole' in conditions["watch of pods"]
        role = "bind the Role extension-apiserver-authentication-reader"
        assert role in conditions["authentication configuration"]
        await until(lambda: environment.mapper() is not None)
        said = reasons(environment)
        assert said["discovery"] is None
        assert said["informer-sync"] == f"pods are not known yet: {conditions['watch of pods']}"
        assert role in (said["authentication-configuration"] or "")
        api.heal()
        await until(lambda: not any(reasons(environment).values()))
        assert environment.conditions() == {}


async def test_a_cluster_that_is_away(tmp_path: Path, api: FakeKubeAPI) -> None:
    await api.stop()
    async with made(tmp_path, api) as result:
        environment = environment_of(result)
        await until(lambda: len(environment.conditions()) == 3)
        assert "kube-apiserver cannot be reached" in environment.conditions()["discovery"]
        assert (reasons(environment)["discovery"] or "").startswith(
            "resources are not known yet: kube"
        )
        assert (environment.mapper(), result.trusts) == (None, 0)
        assert environment.authentication().client_ca == b""
        await api.start()
        await until(lambda: not any(reasons(environment).values()))
    async with made(tmp_path, api) as result:
        # Before anything was tried, nothing is known to be wrong.
        assert reasons(environment_of(result))["informer-sync"] == "pods are not known yet"


async def test_a_configmap_that_cannot_be_used_is_a_condition(
    tmp_path: Path, api: FakeKubeAPI
) -> None:
    async with made(tmp_path, api) as result:
        environment = environment_of(result)
        await until(lambda: not any(reasons(environment).values()))
        api.put(CONFIGMAPS, "kube-system", "extension-apiserver-authentication", data={})
        await until(lambda: "missing or empty" in str(environment.conditions()))
        # What was read before stays in force, so the server is ready all the same.
        assert environment.authentication().client_ca == process.CLIENT_CA.pem
        assert not any(reasons(environment).values())


async def test_without_the_lookup_only_flags_count(tmp_path: Path, api: FakeKubeAPI) -> None:
    (tmp_path / "ca.crt").write_bytes(process.PROXY_CA.pem)
    words = ("--authentication-skip-lookup", f"--client-ca-file={tmp_path / 'ca.crt'}")
    async with made(tmp_path, api, *words) as result:
        environment = environment_of(result)
        assert set(environment.checks) == {"discovery", "informer-sync"}
        await until(lambda: not any(reasons(environment).values()))
        assert api.count(CONFIGMAP) == 0
        assert environment.authentication().client_ca == process.PROXY_CA.pem
        assert environment.authentication().requestheader_ca == b""


def test_every_fault_is_kept(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("[")
    settings = serve_settings(
        tmp_path,
        f"--lister-kubeconfig={tmp_path / 'broken'}",
        f"--authorization-kubeconfig={tmp_path / 'gone'}",
        f"--client-ca-file={tmp_path / 'broken'}",
    )
    faults = ErrorCollector()
    made = cluster.build_environment(
        settings,
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
