"""The exporter's manifests: minimal permissions of each mode, existing flags, valid queries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from metrics_apiserver.exporter import flags

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "manifests/components/gpu-exporter"
PAGE = ROOT / "docs/gpu-exporter.md"

Object = dict[str, Any]


def documents(path: Path) -> Iterator[Object]:
    yield from filter(None, yaml.safe_load_all(path.read_text()))


def daemonset() -> Object:
    (found,) = documents(FOLDER / "daemonset.yaml")
    return found


def pods() -> dict[str, Object]:
    (deployment,) = documents(FOLDER / "sidecar.yaml")
    return {
        "daemonset": daemonset()["spec"]["template"]["spec"],
        "sidecar": deployment["spec"]["template"]["spec"],
    }


def container(pod: Object) -> Object:
    found: Object = next(one for one in pod["containers"] if one["name"] == "nvml-exporter")
    return found


@pytest.mark.parametrize("mode", ["daemonset", "sidecar"])
def test_permissions(mode: str) -> None:
    pod = pods()[mode]
    assert container(pod)["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostPID", "hostNetwork", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsUser"] == (0 if mode == "daemonset" else 10001)
    assert "resources" in container(pod)


def test_host_paths_are_read_only() -> None:
    pod = pods()["daemonset"]
    assert [one["hostPath"]["path"] for one in pod["volumes"]] == ["/var/lib/kubelet/pod-resources"]
    assert all(one["readOnly"] for one in container(pod)["volumeMounts"])
    assert "volumes" not in pods()["sidecar"]


def patch_of(component: str) -> list[Object]:
    (kustomization,) = documents(FOLDER / component / "kustomization.yaml")
    (patch,) = kustomization["patches"]
    found: list[Object] = yaml.safe_load(patch["patch"])
    return found


def test_processes_add_the_pid_namespace_and_two_directories() -> None:
    operations = patch_of("processes")
    assert {one["path"] for one in operations} == {
        "/spec/template/spec/hostPID",
        "/spec/template/spec/containers/0/args/-",
        "/spec/template/spec/containers/0/volumeMounts/-",
        "/spec/template/spec/volumes/-",
    }
    mounts = [one["value"] for one in operations if one["path"].endswith("volumeMounts/-")]
    assert all(one["readOnly"] for one in mounts)
    folders = [one["value"]["hostPath"]["path"] for one in operations if "volumes/" in one["path"]]
    assert folders == ["/var/log/pods", "/var/log/containers"]


def test_resource_slices_add_one_permission() -> None:
    role, binding = documents(FOLDER / "resource-slices/reader.yaml")
    assert role["rules"] == [
        {"apiGroups": ["resource.k8s.io"], "resources": ["resourceslices"], "verbs": ["list"]}
    ]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "nvml-exporter", "namespace": "monitoring"}
    ]


def test_flags_exist() -> None:
    words = [word for pod in pods().values() for word in container(pod)["args"]]
    for component in ("processes", "resource-slices"):
        words += [one["value"] for one in patch_of(component) if one["path"].endswith("args/-")]
    sidecar = [word for word in words if "sidecar" in word]
    environment = {"POD_NAME": "p", "POD_NAMESPACE": "n", "NODE_NAME": "node-1"}
    flags.parse(sidecar, environment)
    flags.parse([word for word in words if word not in sidecar], environment)


@pytest.mark.parametrize("mode", ["daemonset", "sidecar"])
def test_names_come_from_the_downward_api(mode: str) -> None:
    environment = container(pods()[mode])["env"]
    fields = {
        one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in environment
        if "valueFrom" in one
    }
    assert fields == {
        "NODE_NAME": "spec.nodeName",
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
    }


def test_scraping_finds_the_pods_and_keeps_their_labels() -> None:
    labels = daemonset()["spec"]["template"]["metadata"]["labels"]
    (monitor,) = documents(FOLDER / "scrape/pod-monitor.yaml")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    (plain,) = documents(FOLDER / "scrape-config.yaml")
    (job,) = plain["scrape_configs"]
    assert job["honor_labels"] is True
    assert job["scrape_interval"] == endpoint["interval"] == "10s"
    assert endpoint["port"] == container(pods()["daemonset"])["ports"][0]["name"]


def dashboard() -> Object:
    found: Object = json.loads((FOLDER / "scrape/dashboard.json").read_text())
    return found


def test_dashboard_queries_parse_and_use_existing_metrics() -> None:
    known = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        for target in panel["targets"]:
            text = re.sub(r"\$\w+", ".*", target["expr"])
            promql_parser.parse(text)
            names = re.findall(r"\b(?:nvidia_gpu|gpu_pod|gpu_exporter|DCGM)_\w+", text)
            assert names
            assert set(names) <= known, panel["title"]


def test_all_families_are_on_the_dashboard() -> None:
    text = json.dumps(dashboard())
    for prefix in ("nvidia_gpu_", "DCGM_FI_", "DCGM_CUSTOM_", "gpu_pod_", "gpu_exporter_"):
        assert prefix in text
