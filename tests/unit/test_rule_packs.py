"""The rule packs make the metrics they promise; every example HPA asks for one that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.core import registry
from metrics_apiserver.core.model import (
    NAMESPACES,
    NODES,
    PODS,
    GroupResource,
    MappedResource,
    Series,
)
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules import config

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config/examples").glob("*.yaml"))
SERVICES = GroupResource("", "services")
INGRESSES = GroupResource("networking.k8s.io", "ingresses")
DEPLOYMENTS = GroupResource("apps", "deployments")


def mapped(group: str, plural: str, singular: str, namespaced: bool = True) -> MappedResource:
    return MappedResource(group, "v1", plural, singular, singular.title(), namespaced)


CLUSTER = RESTMapper(
    [
        mapped("", "namespaces", "namespace", False),
        mapped("", "nodes", "node", False),
        mapped("", "pods", "pod"),
        mapped("", "services", "service"),
        mapped("apps", "deployments", "deployment"),
        mapped("networking.k8s.io", "ingresses", "ingress"),
    ]
)


def series(name: str, *labels: str) -> Series:
    return Series(name, frozenset(labels))


def built(pack: str, found: dict[int, list[Series]], external: Series | None = None) -> Snapshot:
    """The pack over what each rule's series query finds, by the rule's place."""
    path = ROOT / "config" / f"{pack}.yaml"
    rules = config.parse(path.read_bytes(), path.name)
    listed: dict[str, list[Series]] = {rule.series_query: [] for rule in rules.rules}
    for place, some in found.items():
        listed[rules.rules[place].series_query] = some
    for rule in rules.external_rules:
        listed[rule.series_query] = [external] if external else []
    return registry.build(rules, CLUSTER, listed, 1)


def query(snapshot: Snapshot, resource: GroupResource, metric: str) -> str:
    return snapshot.custom[resource, metric].rule.template.text


@pytest.mark.parametrize(
    ("place", "labels", "pod"),
    [(0, ("namespace", "pod"), "pod"), (2, ("exported_namespace", "exported_pod"), "exported_pod")],
    ids=["honorLabels", "exported labels"],
)
def test_dcgm(place: int, labels: tuple[str, ...], pod: str) -> None:
    some = [
        series(name, "gpu", "UUID", *labels)
        for name in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED_PERCENT")
    ]
    snapshot = built("dcgm", {place: some})
    assert snapshot.diagnostics == ()
    namespace = pod.replace("pod", "namespace")
    for name in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED_PERCENT"):
        converter = snapshot.custom[PODS, name].converter
        assert converter.label_for(PODS) == pod
        assert converter.label_for(NAMESPACES) == namespace
    assert query(snapshot, PODS, "DCGM_FI_DEV_GPU_UTIL").startswith("avg(")
    assert query(snapshot, PODS, "DCGM_FI_DEV_FB_USED").startswith("sum(")
    assert query(snapshot, PODS, "DCGM_FI_DEV_FB_USED_PERCENT").startswith("avg(")


def test_dcgm_takes_no_gpu_for_that_of_its_exporter() -> None:
    """Where no pod uses a GPU, `pod` is the exporter's own: neither listed nor read."""
    rules = config.parse((ROOT / "config/dcgm.yaml").read_bytes(), "dcgm.yaml").rules
    for rule in rules[:2]:
        for text in (rule.series_query, rule.template.text):
            assert 'container!~".*dcgm-exporter"' in text


def test_http_requests() -> None:
    snapshot = built(
        "http-requests",
        {
            0: [series("http_requests_total", "namespace", "pod", "service")],
            1: [series("nginx_ingress_controller_requests", "exported_namespace", "ingress")],
            2: [
                series(
                    "istio_requests_total",
                    "destination_workload",
                    "destination_workload_namespace",
                )
            ],
        },
    )
    assert snapshot.diagnostics == ()
    assert {
        (PODS, "http_requests_per_second"),
        (SERVICES, "http_requests_per_second"),
        (INGRESSES, "ingress_requests_per_second"),
        (DEPLOYMENTS, "istio_requests_per_second"),
    } <= snapshot.custom.keys()


def test_seldon() -> None:
    own = ("namespace", "pod", "model_name", "deployment_name")
    snapshot = built(
        "seldon",
        {
            0: [series("mycounter_total", *own), series("mygauge", *own)],
            2: [series("mytimer_seconds_sum", *own)],
        },
        series("seldon_api_executor_client_requests_seconds_count", "seldon_app"),
    )
    assert snapshot.diagnostics == ()
    assert {metric for resource, metric in snapshot.custom if resource == PODS} == {
        "mycounter_per_second",
        "mygauge",
        "mytimer_seconds_mean",
    }
    assert not snapshot.external["access_frequency"].namespaced


def test_the_resource_rules_of_kube_prometheus() -> None:
    snapshot = built("kube-prometheus-resource-rules", {})
    assert snapshot.diagnostics == ()
    rules = snapshot.resource_rules
    assert rules is not None
    assert rules.window_seconds == 300
    assert rules.cpu.converter.label_for(NODES) == "node"
    assert rules.memory.converter.label_for(NODES) == "instance"


# --- examples ------------------------------------------------------------------------------

GPU = ("uuid", "node_name", "pod_name", "namespace_name")
SELDON = ("namespace", "pod", "model_name", "deployment_name")
WORLDS: dict[str, tuple[dict[int, list[Series]], Series | None]] = {
    "alibaba-gpu": ({0: [series("nvidia_gpu_duty_cycle", *GPU)]}, None),
    "gpu-dcgm": (
        {
            0: [
                series(name, "UUID", "namespace", "pod")
                for name in ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_DEV_GPU_UTIL")
            ]
        },
        None,
    ),
    "gpu-devices": ({0: [series("nvidia_gpu_duty_cycle", *GPU)]}, None),
    "gpu-pods": (
        {
            0: [
                series(name, "namespace_name", "pod_name", "node_name")
                for name in ("gpu_pod_utilization_percent", "gpu_pod_memory_utilization_percent")
            ]
        },
        None,
    ),
    "gpu-processes": (
        {0: [series("DCGM_CUSTOM_PROCESS_SM_UTIL", "NamespaceName", "NodeName", "PodName")]},
        None,
    ),
    "external-sls": (
        {},
        series("sls_ingress_qps", "sls_project", "sls_logstore", "sls_ingress_route"),
    ),
    "resource-rules": ({}, None),
    "seldon": (
        {
            0: [series("mycounter_total", *SELDON)],
            2: [series("mytimer_seconds_sum", *SELDON)],
        },
        series("seldon_api_executor_client_requests_seconds_count", "seldon_app"),
    ),
}


def offered(snapshot: Snapshot, metric: dict[str, Any]) -> bool:
    """Whether the server has the metric of an HPA."""
    match metric["type"]:
        case "Pods":
            return (PODS, metric["pods"]["metric"]["name"]) in snapshot.custom
        case "External":
            return metric["external"]["metric"]["name"] in snapshot.external
        case _:
            return snapshot.resource_rules is not None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_asks_for_metrics_of_the_rules_it_names(path: Path) -> None:
    text = path.read_text()
    comment = " ".join(line.removeprefix("#") for line in text.splitlines() if line[:1] == "#")
    (pack,) = re.findall(r"config/([a-z-]+)\.yaml", comment)
    snapshot = built(pack, *WORLDS[pack])
    example = yaml.safe_load(text)
    assert example["apiVersion"] == "autoscaling/v2"
    for metric in example["spec"]["metrics"]:
        assert offered(snapshot, metric), metric
