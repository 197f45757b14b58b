"""Discovery: documents of section 3 of the protocol, and that they stay as they are (B12, I2)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
import yaml
from multidict import CIMultiDict

from metrics_apiserver.api import discovery, requestinfo
from metrics_apiserver.api.discovery import AGGREGATED, Discovery
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.registry import Snapshot

AGGREGATOR = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
)
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"


def snapshot(
    generation: int,
    custom: dict[tuple[GroupResource, str], bool],
    external: tuple[str, ...] = (),
) -> Snapshot:
    """The parts of a Snapshot that discovery reads."""
    made = SimpleNamespace(
        generation=generation,
        custom={key: SimpleNamespace(namespaced=scope) for key, scope in custom.items()},
        external=dict.fromkeys(external),
    )
    return cast("Snapshot", made)


PODS, JOBS = GroupResource("", "pods"), GroupResource("batch", "jobs")
NAMESPACES = GroupResource("", "namespaces")
FULL = snapshot(
    1,
    {(PODS, "b"): True, (JOBS, "backlog"): True, (NAMESPACES, "b"): False, (PODS, "a"): True},
    ("queue_depth", "backlog"),
)


def ask(subject: Discovery, target: str, method: str = "GET", **headers: str) -> Encoded:
    names = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    answer = subject(requestinfo.parse(method, target), names)
    assert answer is not None
    return answer


def read(subject: Discovery, target: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(ask(subject, target).body)
    return found


@pytest.fixture
def subject() -> Discovery:
    made = Discovery(["/version"])
    made.update(FULL)
    return made


def test_other_paths_are_somebody_elses(subject: Discovery) -> None:
    for target in ("/version", "/api", f"{CUSTOM}/nodes/x/y"):
        assert subject(requestinfo.parse("GET", target), {}) is None


@pytest.mark.parametrize("target", [CUSTOM, f"{CUSTOM}/", CUSTOM.replace("v1beta1", "v1beta2")])
def test_custom_metrics_are_listed_sorted_with_the_verb_get(
    subject: Discovery, target: str
) -> None:
    answer = read(subject, target)
    assert answer["kind"] == "APIResourceList"
    assert answer["apiVersion"] == "v1"
    assert answer["groupVersion"] == target.removeprefix("/apis/").rstrip("/")
    entry = {"singularName": "", "kind": "MetricValueList", "verbs": ["get"]}
    assert answer["resources"] == [
        {"name": "jobs.batch/backlog", "namespaced": True, **entry},
        {"name": "namespaces/b", "namespaced": False, **entry},
        {"name": "pods/a", "namespaced": True, **entry},
        {"name": "pods/b", "namespaced": True, **entry},
    ]


def test_external_and_resource_metrics(subject: Discovery) -> None:
    answer = read(subject, "/apis/external.metrics.k8s.io/v1beta1")
    assert [entry["name"] for entry in answer["resources"]] == ["backlog", "queue_depth"]
    assert {entry["kind"] for entry in answer["resources"]} == {"ExternalMetricValueList"}
    answer = read(subject, "/apis/metrics.k8s.io/v1beta1")
    assert [(e["name"], e["namespaced"], e["verbs"]) for e in answer["resources"]] == [
        ("nodes", False, ["get", "list"]),
        ("pods", True, ["get", "list"]),
    ]


def test_before_any_snapshot_lists_are_empty_and_there() -> None:
    subject = Discovery()
    assert read(subject, CUSTOM)["resources"] == []
    assert read(subject, "/apis/external.metrics.k8s.io/v1beta1")["resources"] == []
    assert len(read(subject, "/apis/metrics.k8s.io/v1beta1")["resources"]) == 2


def test_lists_are_written_anew_for_a_new_snapshot_only(subject: Discovery) -> None:
    before = ask(subject, CUSTOM)
    subject.update(snapshot(1, {}))
    assert ask(subject, CUSTOM) is before
    subject.update(snapshot(2, {(PODS, "z"): True}))
    assert [entry["name"] for entry in read(subject, CUSTOM)["resources"]] == ["pods/z"]
    again = ask(subject, CUSTOM)
    subject.update(snapshot(3, {(PODS, "z"): True}))
    assert ask(subject, CUSTOM) is again


def test_large_lists_are_compressed_ahead(subject: Discovery) -> None:
    subject.update(snapshot(2, {(PODS, f"metric_{i}"): True for i in range(2000)}))
    assert ask(subject, CUSTOM).gzipped


def test_groups(subject: Discovery) -> None:
    group = read(subject, "/apis/custom.metrics.k8s.io")
    assert (group["kind"], group["apiVersion"]) == ("APIGroup", "v1")
    assert {version["version"] for version in group["versions"]} == {"v1beta1", "v1beta2"}
    groups = read(subject, "/apis")
    assert groups["kind"] == "APIGroupList"
    assert [one["name"] for one in groups["groups"]] == [
        "custom.metrics.k8s.io",
        "external.metrics.k8s.io",
        "metrics.k8s.io",
    ]


def test_the_root_lists_paths(subject: Discovery) -> None:
    paths = read(subject, "/")["paths"]
    assert paths == sorted(paths)
    assert {"/", "/apis", CUSTOM, "/version"} <= set(paths)


@pytest.mark.parametrize("target", ["/apis/x", "/apis/x/v1", "/apis/custom.metrics.k8s.io/v1"])
def test_unknown_groups_and_versions(subject: Discovery, target: str) -> None:
    with pytest.raises(errors.NotFound):
        ask(subject, target)


def test_discovery_can_only_be_read(subject: Discovery) -> None:
    with pytest.raises(errors.MethodNotAllowed):
        ask(subject, CUSTOM, "POST")


def test_the_aggregated_document(subject: Discovery) -> None:
    answer = ask(subject, "/apis", accept=AGGREGATOR)
    assert answer.content_type == AGGREGATED
    headers = dict(answer.headers)
    assert headers["Vary"] == "Accept"
    assert headers["Cache-Control"] == "public"
    document = orjson.loads(answer.body)
    assert document["kind"] == "APIGroupDiscoveryList"
    assert document["apiVersion"] == "apidiscovery.k8s.io/v2"
    versions = {
        (item["metadata"]["name"], version["version"]): version
        for item in document["items"]
        for version in item["versions"]
    }
    assert versions.keys() == {
        ("custom.metrics.k8s.io", "v1beta2"),
        ("custom.metrics.k8s.io", "v1beta1"),
        ("external.metrics.k8s.io", "v1beta1"),
        ("metrics.k8s.io", "v1beta1"),
    }
    assert {version["freshness"] for version in versions.values()} == {"Current"}
    resources = versions["metrics.k8s.io", "v1beta1"]["resources"]
    assert [(r["resource"], r["scope"], r["verbs"]) for r in resources] == [
        ("nodes", "Cluster", ["get", "list"]),
        ("pods", "Namespaced", ["get", "list"]),
    ]


def test_the_aggregated_document_never_changes(subject: Discovery) -> None:
    first = ask(subject, "/apis", accept=AGGREGATOR)
    tag = dict(first.headers)["ETag"]
    assert len(tag) == 130
    for current in (snapshot(2, {(PODS, "z"): True}), None):
        subject.update(current)
        assert ask(subject, "/apis", accept=AGGREGATOR) == first
    known = ask(subject, "/apis", accept=AGGREGATOR, if_none_match=tag)
    assert (known.status, known.body) == (304, b"")
    assert ask(subject, "/apis", accept=AGGREGATOR, if_none_match=tag.strip('"')).status == 200
    assert ask(Discovery(), "/apis", accept=AGGREGATOR) == first


@pytest.mark.parametrize(
    ("accept", "aggregated"),
    [
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", True),
        (f"{AGGREGATOR},application/json", True),
        (f"application/json,{AGGREGATOR}", False),
        (f"application/json;q=0.8,{AGGREGATOR}", True),
        ("application/json", False),
        ("*/*", False),
    ],
)
def test_who_gets_the_aggregated_document(
    subject: Discovery, accept: str, aggregated: bool
) -> None:
    answer = ask(subject, "/apis", accept=accept)
    assert (answer.content_type == AGGREGATED) is aggregated


def test_older_aggregated_versions_alone_are_406(subject: Discovery) -> None:
    with pytest.raises(errors.NotAcceptable):
        ask(subject, "/apis", accept=AGGREGATOR.partition(",")[2])


def test_lists_for_people(subject: Discovery) -> None:
    pretty = ask(subject, CUSTOM, user_agent="curl/8")
    assert pretty.body.startswith(b'{\n  "kind"')
    written = ask(subject, CUSTOM, accept="application/yaml")
    assert yaml.safe_load(written.body) == read(subject, CUSTOM)


def test_no_verb_makes_the_namespace_controller_call_us() -> None:
    verbs = {
        verb
        for entry in [*discovery._custom_entries(FULL), *discovery._resource_entries()]
        for verb in entry["verbs"]
    }
    assert verbs == {"get", "list"}
