"""Readiness and conditions of the cluster; tests/unit/app/test_cluster.py has whole clusters."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from metrics_apiserver.certs import ca_bundle
from metrics_apiserver.controllers.cluster_state import AUTHENTICATION, ClusterState
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.discovery import MapperSource
from metrics_apiserver.kube.objects import ObjectCache
from metrics_apiserver.kube.requestheader import AuthenticationSource
from tests.fakes.kubeapi import FakeKubeAPI


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    async with FakeKubeAPI() as api, KubeClient(api.config()) as made:
        yield made


def state_of(client: KubeClient, *, reads_configmap: bool) -> ClusterState:
    return ClusterState(
        MapperSource(client),
        ObjectCache(client, lambda work, _name: work.close()),
        AuthenticationSource(client, ca_bundle.parse),
        reads_configmap,
    )


async def test_before_anything_was_read_nothing_is_ready_or_wrong(client: KubeClient) -> None:
    subject = state_of(client, reads_configmap=True)
    assert {name: check() for name, check in subject.checks().items()} == {
        "discovery": "resources are not known yet",
        "informer-sync": "pods are not known yet",
        "authentication-configuration": "the authentication ConfigMap is not read yet",
    }
    assert subject.conditions() == {}
    assert set(subject.watched().values()) <= {0}


async def test_a_configmap_that_is_not_asked_for_is_neither_checked_nor_reported(
    client: KubeClient,
) -> None:
    subject = state_of(client, reads_configmap=False)
    subject.authentication.problems = ("missing",)
    assert set(subject.checks()) == {"discovery", "informer-sync"}
    assert subject.conditions() == {}
    asked = state_of(client, reads_configmap=True)
    asked.authentication.problems = ("missing",)
    assert asked.conditions() == {AUTHENTICATION: "missing"}
    reason = asked.checks()["authentication-configuration"]()
    assert reason == "the authentication ConfigMap is not read yet: missing"
