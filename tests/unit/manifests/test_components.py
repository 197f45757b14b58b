"""What the kustomize components hold, read without kustomize; the end-to-end tests apply them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
COMPONENTS = sorted(path.parent for path in MANIFESTS.glob("components/*/kustomization.yaml"))

Object = dict[str, Any]


def documents(path: Path) -> Iterator[Object]:
    yield from filter(None, yaml.safe_load_all(path.read_text()))


def deployment() -> Object:
    (found,) = documents(MANIFESTS / "base/deployment.yaml")
    return found


@pytest.mark.parametrize("folder", COMPONENTS, ids=lambda path: path.name)
def test_a_component_names_every_file_beside_it(folder: Path) -> None:
    (kustomization,) = documents(folder / "kustomization.yaml")
    assert kustomization["kind"] == "Component"
    text = (folder / "kustomization.yaml").read_text()
    others = [path.name for path in folder.iterdir() if path.name != "kustomization.yaml"]
    assert [name for name in others if name not in text] == []


@pytest.mark.parametrize("folder", COMPONENTS, ids=lambda path: path.name)
def test_a_component_renders_over_the_base(folder: Path, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on PATH")
    kustomization = {
        "resources": [os.path.relpath(MANIFESTS / "base", tmp_path)],
        "components": [os.path.relpath(folder, tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    command = [kubectl, "kustomize", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(done.stdout)]
    assert len(names) == len(set(names))
    assert ("Deployment", "custom-metrics-apiserver") in names


def test_the_pod_is_restricted() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_selectors_find_the_pods() -> None:
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    selecting = [
        next(documents(MANIFESTS / "components/ha/pod-disruption-budget.yaml"))["spec"]["selector"],
        next(documents(MANIFESTS / "components/network-policy/network-policy.yaml"))["spec"][
            "podSelector"
        ],
    ]
    (patch,) = documents(MANIFESTS / "components/ha/deployment.yaml")
    spread = patch["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selecting += [one["labelSelector"] for one in spread]
    for selector in selecting:
        assert selector["matchLabels"].items() <= labels.items()


def test_the_network_policy_lets_through_what_the_server_needs() -> None:
    (policy,) = documents(MANIFESTS / "components/network-policy/network-policy.yaml")
    spec = policy["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"port": "https", "protocol": "TCP"}]]
    egress = [(port["port"], port["protocol"]) for rule in spec["egress"] for port in rule["ports"]]
    assert egress == [
        (53, "UDP"),
        (53, "TCP"),
        (443, "TCP"),
        (6443, "TCP"),
        (9090, "TCP"),
    ]


def test_prometheus_verifies_what_it_scrapes() -> None:
    (monitor,) = documents(MANIFESTS / "components/monitoring/service-monitor.yaml")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["tlsConfig"]["serverName"] == "custom-metrics-apiserver.monitoring.svc"
    assert "insecureSkipVerify" not in endpoint["tlsConfig"]


def test_the_exporters_network_policy_finds_its_pods_and_their_port() -> None:
    folder = MANIFESTS / "components/gpu-exporter"
    (policy,) = documents(folder / "network-policy/network-policy.yaml")
    (daemonset,) = documents(folder / "daemonset.yaml")
    template = daemonset["spec"]["template"]
    selected = policy["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= template["metadata"]["labels"].items()
    named = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    (rule,) = policy["spec"]["ingress"]
    assert {port["port"] for port in rule["ports"]} <= named
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
