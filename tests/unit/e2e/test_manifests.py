"""The shipped manifests as kustomize renders them, and their way to loopback."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests import builds
from tests.e2e.harness import manifests
from tests.e2e.harness.apiclient import Object

API_SERVICE: Object = {
    "kind": "APIService",
    "metadata": {"name": "v1.x"},
    "spec": {"group": "x", "service": {"name": "s", "namespace": "n", "port": 443}},
}
SERVICE: Object = {"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}}}
ROLE: Object = {"kind": "ClusterRole", "metadata": {"name": "r"}, "rules": [{"verbs": ["get"]}]}


def test_only_service_and_api_services_are_bent(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes(b"PEM")
    service, registered, role = manifests.for_loopback([SERVICE, API_SERVICE, ROLE], 7, authority)
    assert service["spec"] == {
        "type": "ExternalName",
        "externalName": "localhost",
        "ports": [{"name": "https", "port": 7, "protocol": "TCP"}],
    }
    assert registered["spec"]["service"] == {"name": "s", "namespace": "n", "port": 7}
    assert base64.b64decode(registered["spec"]["caBundle"]) == b"PEM"
    assert role == ROLE


def test_what_is_shipped_never_skips_verification() -> None:
    folder = builds.ROOT / "manifests"
    shipped = [path.read_text() for path in folder.rglob("*.yaml")]
    assert shipped
    assert not any("insecureSkipTLSVerify" in text for text in shipped)


@pytest.mark.parametrize("name", ["base", "components/external", "components/resource"])
def test_every_file_is_listed_in_its_kustomization(name: str) -> None:
    folder = builds.ROOT / "manifests" / name
    listed = (folder / "kustomization.yaml").read_text()
    files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert {file for file in files if f"- {file}\n" in listed} == files
