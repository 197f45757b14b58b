"""The nouns: equal when they say the same, and readable as Kubernetes writes them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from metrics_apiserver.core import model
from metrics_apiserver.core.model import (
    GroupResource,
    MappedResource,
    QueryResult,
    RequestInfo,
    Series,
    UserInfo,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pods", GroupResource("", "pods")),
        ("deployments.apps", GroupResource("apps", "deployments")),
        ("ingresses.networking.k8s.io", GroupResource("networking.k8s.io", "ingresses")),
        ("", GroupResource("", "")),
    ],
)
def test_group_resources_are_written_as_kubernetes_writes_them(
    text: str, expected: GroupResource
) -> None:
    assert GroupResource.parse(text) == expected
    assert str(expected) == text


def test_group_resources_sort_by_group_first() -> None:
    assert sorted([GroupResource("b", "a"), GroupResource("", "z"), GroupResource("a", "c")]) == [
        GroupResource("", "z"),
        GroupResource("a", "c"),
        GroupResource("b", "a"),
    ]
    assert tuple(map(GroupResource.parse, ("namespaces", "nodes", "pods"))) == (
        model.NAMESPACES,
        model.NODES,
        model.PODS,
    )


def test_a_mapped_resource_names_itself() -> None:
    pods = MappedResource("", "v1", "pods", "pod", "Pod", True)
    jobs = MappedResource("batch", "v1", "jobs", "job", "Job", True)
    assert (pods.group_resource, pods.api_version) == (model.PODS, "/v1")
    assert (jobs.group_resource, jobs.api_version) == (GroupResource("batch", "jobs"), "batch/v1")


def test_equal_things_are_equal_keys() -> None:
    assert len({Series("up", frozenset({"a", "b"})), Series("up", frozenset({"b", "a"}))}) == 1
    bob = UserInfo("bob", groups=("a",), extra=(("k", ("1",)),))
    assert len({bob, UserInfo("bob", groups=("a",), extra=(("k", ("1",)),))}) == 1
    assert bob != UserInfo("bob", groups=("a", "b"), extra=(("k", ("1",)),))


def test_what_is_handed_on_cannot_change() -> None:
    info = RequestInfo("GET", "/", ())
    with pytest.raises(FrozenInstanceError):
        info.namespace = "other"  # type: ignore[misc]  # that it is refused is the test
    with pytest.raises(FrozenInstanceError):
        QueryResult("vector", []).kind = "scalar"  # type: ignore[misc]  # likewise
    assert RequestInfo("GET", "/", ()).query == {}
