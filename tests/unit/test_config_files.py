"""Every rule file that is shipped or recorded compiles, and the shipped ones without a warning."""

from pathlib import Path

import pytest

from metrics_apiserver.core import registry
from metrics_apiserver.core.model import NODES, PODS, GroupResource, MappedResource, Series
from metrics_apiserver.core.registry import Snapshot
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules import config
from metrics_apiserver.core.rules.config import RuleFile

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))
RECORDED = sorted((ROOT / "tests" / "conformance").glob("config-*.yaml"))


def parse(path: Path) -> RuleFile:
    return config.parse(path.read_bytes(), path.name)


def mapped(group: str, plural: str, singular: str, namespaced: bool = True) -> MappedResource:
    return MappedResource(group, "v1", plural, singular, singular.title(), namespaced)


CLUSTER = RESTMapper(
    [
        mapped("", "namespaces", "namespace", False),
        mapped("", "nodes", "node", False),
        mapped("", "persistentvolumes", "persistentvolume", False),
        mapped("", "pods", "pod"),
        mapped("", "services", "service"),
        mapped("apps", "deployments", "deployment"),
        mapped("batch", "jobs", "job"),
        mapped("networking.k8s.io", "ingresses", "ingress"),
    ]
)


# A query that uses no label matchers is served as it is, with a warning.
WARNED = {"config-wild.yaml": ["rules[3].metricsQuery"]}


def snapshot(name: str, *series: Series) -> Snapshot:
    """The file's rules, each over the same series; what its query would leave out is its affair."""
    rules = parse(ROOT / name)
    queries = {rule.series_query for rule in (*rules.rules, *rules.external_rules)}
    return registry.build(rules, CLUSTER, dict.fromkeys(queries, series), 1)


def test_there_are_files() -> None:
    assert len(SHIPPED) >= 4
    assert len(RECORDED) >= 2


@pytest.mark.parametrize("path", SHIPPED + RECORDED, ids=lambda path: path.name)
def test_a_file_compiles(path: Path) -> None:
    rules = parse(path)
    assert rules.rules or rules.external_rules or rules.resource_rules
    assert [warning.path for warning in rules.warnings] == WARNED.get(path.name, [])


def test_alibaba_gpu() -> None:
    built = snapshot(
        "config/alibaba-gpu.yaml",
        *(
            Series(
                f"nvidia_gpu_{name}",
                frozenset({"uuid", "node_name", "pod_name", "namespace_name", "container_name"}),
            )
            for name in (
                "duty_cycle",
                "memory_used_bytes",
                "temperature_celsius",
                "power_usage_milliwatts",
            )
        ),
    )
    assert built.diagnostics == ()
    assert {metric for resource, metric in built.custom if resource == PODS} == {
        f"{name}_{end}"
        for name in (
            "duty_cycle",
            "memory_used_bytes",
            "temperature_celsius",
            "power_usage_milliwatts",
        )
        for end in ("current", "over_time")
    }
    source = built.custom[PODS, "temperature_celsius_current"]
    assert source.converter.label_for(PODS) == "pod_name"
    assert source.series_name == "nvidia_gpu_temperature_celsius"


def test_prometheus_adapter_defaults() -> None:
    built = snapshot(
        "config/prometheus-adapter-defaults.yaml",
        Series("container_cpu_usage_seconds_total", frozenset({"namespace", "pod", "container"})),
        Series("container_network_receive_bytes_total", frozenset({"namespace", "pod"})),
        Series("container_memory_working_set_bytes", frozenset({"namespace", "pod"})),
    )
    assert {
        metric: source.rule.path
        for (resource, metric), source in built.custom.items()
        if resource == PODS and int(source.rule.path[6]) < 3
    } == {
        "cpu_usage": "rules[0]",
        "network_receive_bytes": "rules[1]",
        "memory_working_set_bytes": "rules[2]",
    }
    built = snapshot(
        "config/prometheus-adapter-defaults.yaml",
        Series("http_requests_total", frozenset({"namespace", "pod", "service", "code"})),
        Series("process_cpu_seconds_total", frozenset({"namespace", "job"})),
        Series("queue_depth", frozenset({"namespace", "deployment"})),
    )
    assert {
        (str(resource), metric): s.rule.path for (resource, metric), s in built.custom.items()
    } == {
        ("namespaces", "http_requests"): "rules[4]",
        ("pods", "http_requests"): "rules[4]",
        ("services", "http_requests"): "rules[4]",
        ("namespaces", "process_cpu"): "rules[5]",
        ("jobs.batch", "process_cpu"): "rules[5]",
        ("namespaces", "queue_depth"): "rules[3]",
        ("deployments.apps", "queue_depth"): "rules[3]",
    }


def test_resource_rules() -> None:
    built = snapshot("config/resource-rules.yaml")
    assert built.diagnostics == ()
    assert built.resource_rules is not None
    assert built.resource_rules.window_seconds == 120
    assert built.resource_rules.cpu.converter.label_for(NODES) == "node"


def test_external_sls() -> None:
    built = snapshot(
        "config/external-sls.yaml",
        Series("sls_ingress_qps", frozenset({"sls_project", "sls_logstore", "sls_ingress_route"})),
    )
    assert built.diagnostics == ()
    source = built.external["sls_ingress_qps"]
    assert not source.namespaced
    assert source.rule.on_nan == "drop"


def test_the_broad_recorded_file() -> None:
    built = snapshot(
        "tests/conformance/config-broad.yaml",
        Series("ingress_qps", frozenset({"namespace", "ingress"})),
        Series("job_progress", frozenset({"namespace", "batch_job"})),
        Series("cadvisor_memory", frozenset({"namespace", "pod", "container"})),
    )
    ingresses = GroupResource("networking.k8s.io", "ingresses")
    assert built.custom[ingresses, "ingress_qps"].converter.label_for(ingresses) == "ingress"
    assert (GroupResource("batch", "jobs"), "job_progress") in built.custom
    assert built.custom[PODS, "memory"].series_name == "cadvisor_memory"
