"""The chart's GPU exporter is that of the manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.core.rules import config
from metrics_apiserver.exporter import flags
from tests import helm
from tests.builds import ROOT
from tests.helm import Object, Refused

COMPONENT = ROOT / "manifests/components/gpu-exporter"
DEVICES = {"enabled": True, "attribution": "none"}
ENVIRONMENT = {"NODE_NAME": "node", "POD_NAME": "pod", "POD_NAMESPACE": "gpu"}
# Settings of an exporter that shares a GPU's processes out and reads ResourceSlices.
WHOLE = {
    "enabled": True,
    "processes": True,
    "resourceSlices": True,
    "podMonitor": {"enabled": True},
}


def one(objects: list[Object], kind: str) -> Object:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def exporter(settings: dict[str, Any]) -> list[Object]:
    return [
        one
        for one in helm.render({"gpuExporter": settings})
        if one["metadata"]["name"].startswith("release-metrics-apiserver-nvml-exporter")
    ]


def load(path: Path) -> Object:
    found: Object = yaml.safe_load(path.read_text())
    return found


def test_there_is_none_unless_it_is_asked_for() -> None:
    assert not [one for one in helm.render() if one["kind"] == "DaemonSet"]


def test_the_pod_is_that_of_the_manifests() -> None:
    shipped = load(COMPONENT / "daemonset.yaml")["spec"]["template"]["spec"]
    pod = one(exporter({"enabled": True}), "DaemonSet")["spec"]["template"]["spec"]
    shipped["serviceAccountName"] = pod["serviceAccountName"]
    shipped["containers"][0]["image"] += ":0.1.0"
    shipped["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    assert pod == shipped


def test_processes_and_resource_slices() -> None:
    objects = exporter(WHOLE)
    pod = one(objects, "DaemonSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["hostPID"]
    assert pod["automountServiceAccountToken"]
    assert {"--processes", "--resource-slices"} <= set(container["args"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (rule,) = one(objects, "ClusterRole")["rules"]
    shipped = next(yaml.safe_load_all((COMPONENT / "resource-slices/reader.yaml").read_text()))
    assert [rule] == shipped["rules"]


def test_devices_alone_take_neither_root_nor_the_host() -> None:
    pod = one(exporter(DEVICES), "DaemonSet")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"volumes", "hostPID"} & pod.keys()
    assert "volumeMounts" not in pod["containers"][0]


@pytest.mark.parametrize("asked", ["processes", "resourceSlices"])
def test_devices_alone_have_no_owners(asked: str) -> None:
    with pytest.raises(Refused, match=r"need gpuExporter\.attribution=daemonset"):
        exporter({**DEVICES, asked: True})


@pytest.mark.parametrize(
    ("settings", "egress"),
    [({"enabled": True}, []), (WHOLE, [(443, "TCP"), (6443, "TCP")])],
    ids=["plain", "whole"],
)
def test_the_network_lets_prometheus_in(
    settings: dict[str, Any], egress: list[tuple[int, str]]
) -> None:
    prometheus = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    policies = {"enabled": True, "exporterFrom": prometheus}
    objects = helm.render({"gpuExporter": settings, "networkPolicy": policies})
    (spec,) = [
        found["spec"]
        for found in objects
        if found["kind"] == "NetworkPolicy" and "nvml" in found["metadata"]["name"]
    ]
    template = one(objects, "DaemonSet")["spec"]["template"]
    selected = spec["podSelector"]["matchLabels"]
    assert selected == one(objects, "DaemonSet")["spec"]["selector"]["matchLabels"]
    assert selected.items() <= template["metadata"]["labels"].items()
    (ingress,) = spec["ingress"]
    assert ingress == {"ports": [{"port": "metrics", "protocol": "TCP"}], "from": prometheus}
    assert "metrics" in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    ports = [port for rule in spec.get("egress", []) for port in rule["ports"]]
    assert [(port["port"], port["protocol"]) for port in ports] == egress


@pytest.mark.parametrize(
    "settings", [{"enabled": True}, WHOLE, DEVICES], ids=["plain", "whole", "devices"]
)
def test_the_exporter_takes_its_arguments(settings: dict[str, Any]) -> None:
    pod = one(exporter(settings), "DaemonSet")["spec"]["template"]["spec"]
    flags.parse(pod["containers"][0]["args"], ENVIRONMENT)


def test_its_pods_are_not_the_servers() -> None:
    objects = helm.render({"gpuExporter": {"enabled": True}})
    labels = one(objects, "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    selector = one(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= labels.items()


def test_a_plain_prometheus_finds_its_pods() -> None:
    (job,) = load(COMPONENT / "scrape-config.yaml")["scrape_configs"]
    ((selector,),) = [one["selectors"] for one in job["kubernetes_sd_configs"]]
    key, _, value = selector["label"].partition("=")
    template = one(exporter({"enabled": True}), "DaemonSet")["spec"]["template"]
    assert template["metadata"]["labels"][key] == value


def test_the_monitor_keeps_the_names_of_pods() -> None:
    shipped = load(COMPONENT / "scrape/pod-monitor.yaml")["spec"]["podMetricsEndpoints"]
    assert one(exporter(WHOLE), "PodMonitor")["spec"]["podMetricsEndpoints"] == shipped


@pytest.mark.parametrize(
    ("packs", "there"), [({}, True), ({"gpuPods": False}, False)], ids=["by itself", "left out"]
)
def test_its_rules_come_with_it(packs: dict[str, bool], there: bool) -> None:
    values = {"rules": {"default": False}, "gpuExporter": {"enabled": True}, "rulePacks": packs}
    data = one(helm.render(values), "ConfigMap")["data"]["config.yaml"]
    rules = config.parse(data.encode(), "rules").rules
    assert bool(rules) == there
    assert all("gpu_pod_" in rule.series_query for rule in rules)


def test_a_namespace_of_its_own() -> None:
    objects = exporter({**WHOLE, "namespace": "gpu"})
    for found in objects:
        assert found["metadata"].get("namespace", "gpu") == "gpu"
    assert one(objects, "ClusterRoleBinding")["subjects"][0]["namespace"] == "gpu"
