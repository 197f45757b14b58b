import pytest

from metrics_apiserver.core.model import GroupResource, MappedResource
from metrics_apiserver.core.restmapper import RESTMapper


def resource(
    plural: str, singular: str, kind: str, group: str = "", namespaced: bool = True
) -> MappedResource:
    return MappedResource(group, "v1", plural, singular, kind, namespaced)


PODS = resource("pods", "pod", "Pod")
NODES = resource("nodes", "node", "Node", namespaced=False)
ENDPOINTS = resource("endpoints", "endpoints", "Endpoints")
DEPLOYMENTS = resource("deployments", "deployment", "Deployment", "apps")
INGRESSES = resource("ingresses", "ingress", "Ingress", "networking.k8s.io")
CLASSES = resource("storageclasses", "storageclass", "StorageClass", "storage.k8s.io", False)
OLD_INGRESSES = resource("ingresses", "ingress", "Ingress", "extensions")
POD_METRICS = resource("pods", "", "PodMetrics", "metrics.k8s.io")
NETWORK_PODS = resource("pods", "pod", "Pod", "apps.example.com")

MAPPER = RESTMapper(
    [
        DEPLOYMENTS,
        POD_METRICS,
        PODS,
        NODES,
        ENDPOINTS,
        INGRESSES,
        OLD_INGRESSES,
        CLASSES,
        NETWORK_PODS,
    ]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pods", PODS),
        ("pod", PODS),
        ("Pods", PODS),
        ("POD", PODS),
        ("node", NODES),
        ("endpoints", ENDPOINTS),
        ("deployment", DEPLOYMENTS),
        ("deployment.apps", DEPLOYMENTS),
        ("Deployments.apps", DEPLOYMENTS),
        ("ingress", INGRESSES),
        ("ingress.extensions", OLD_INGRESSES),
        ("ingresses.networking", INGRESSES),
        ("storageclass.storage", CLASSES),
        ("storageclass.storage.k8s.io", CLASSES),
        ("pods.metrics.k8s.io", POD_METRICS),
        ("podmetrics", POD_METRICS),
        ("pods.apps", NETWORK_PODS),
        ("endpoint", None),
        ("pods.Metrics.k8s.io", None),
        ("widgets", None),
        ("deployment.batch", None),
        ("", None),
    ],
)
def test_partial_names(text: str, expected: MappedResource | None) -> None:
    assert MAPPER.resource_for(GroupResource.parse(text)) == expected


def test_an_exact_group_wins_over_a_longer_one_whatever_the_order() -> None:
    longer = resource("widgets", "widget", "Widget", "a.example.com")
    exact = resource("widgets", "widget", "Widget", "a")
    mapper = RESTMapper([longer, exact])
    assert mapper.resource_for(GroupResource("a", "widgets")) == exact
    assert mapper.resource_for(GroupResource("", "widgets")) == longer


def test_the_core_group_comes_first() -> None:
    assert MAPPER.resources[:3] == (PODS, NODES, ENDPOINTS)
    assert MAPPER.resources[3] == DEPLOYMENTS


def test_a_name_that_two_resources_of_one_group_share_means_neither() -> None:
    first = resource("cats", "pet", "Cat", "zoo")
    second = resource("dogs", "pet", "Dog", "zoo")
    mapper = RESTMapper([first, second])
    assert mapper.resource_for(GroupResource("", "pet")) is None
    assert mapper.resource_for(GroupResource("", "cats")) == first
    assert mapper.singularize("pet") == "pet"
    assert mapper.singularize("cats") == "pet"


def test_singularize_passes_over_a_group_that_has_several() -> None:
    mapper = RESTMapper(
        [
            resource("cats", "dogs", "Cat", "zoo"),
            resource("dogs", "dog", "Dog", "zoo"),
            resource("dogs", "hound", "Hound", "farm"),
        ]
    )
    assert mapper.singularize("dogs") == "hound"
    assert mapper.singularize("dog") == "dog"


def test_of_repeated_entries_the_first_counts() -> None:
    again = MappedResource("", "v2", "pods", "pod", "Pod", True)
    mapper = RESTMapper([PODS, again])
    assert len(mapper) == 1
    assert mapper.resource_for(GroupResource("", "pod")) == PODS


def test_exact_knows_plurals_and_whole_groups_only() -> None:
    assert MAPPER.exact(GroupResource("apps", "deployments")) == DEPLOYMENTS
    assert MAPPER.exact(GroupResource("", "deployments")) is None
    assert MAPPER.exact(GroupResource("apps", "deployment")) is None


@pytest.mark.parametrize(
    ("name", "singular"),
    [
        ("pods", "pod"),
        ("pod", "pod"),
        ("podmetrics", "podmetrics"),
        ("ingresses", "ingress"),
        ("widgets", "widgets"),
    ],
)
def test_singularize(name: str, singular: str) -> None:
    assert MAPPER.singularize(name) == singular


def test_an_empty_cluster_has_nothing() -> None:
    mapper = RESTMapper([])
    assert len(mapper) == 0
    assert mapper.resources == ()
    assert mapper.resource_for(GroupResource("", "pods")) is None
