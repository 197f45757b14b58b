"""What is shipped under `manifests/`, rendered by kustomize, and how a test environment bends it.

Only two things are changed: a server on loopback has no pod IP, so its Service becomes an
ExternalName with the server's port, and the APIServices get the caBundle that they need anyway.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests import builds, programs
from tests.e2e.harness.apiclient import Object

OVERLAY = builds.ROOT / "tests/e2e/overlay"


def render(overlay: Path = OVERLAY) -> list[Object]:
    """Every object of a kustomization, in kustomize's order."""
    command = [str(programs.find("kubectl")), "kustomize", str(overlay)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"kubectl kustomize {overlay}: {done.stderr.decode()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def overlay(folder: Path, components: Iterable[str], **more: object) -> Path:
    """Writes a kustomization of the base with some components, and more; gives its folder."""
    folder.mkdir(parents=True)
    up = "../" * len(folder.relative_to(builds.ROOT).parts)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{up}manifests/base"],
        "components": [f"{up}manifests/components/{name}" for name in components],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def arguments(container: Object, namespace: str) -> list[str]:
    """The arguments of a container as the kubelet gives them: with its namespace filled in."""
    names = [
        one["name"]
        for one in container.get("env", ())
        if one.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath") == "metadata.namespace"
    ]
    words: list[str] = container["args"]
    for name in names:
        words = [word.replace(f"$({name})", namespace) for word in words]
    return words


def for_loopback(objects: list[Object], port: int, authority: Path) -> Iterator[Object]:
    """The objects with the Service and the APIServices led to a port of this machine.

    Args:
        objects: what `render` gave.
        port: where the server listens.
        authority: PEM file of the CA that signed the server's certificate.
    """
    bundle = base64.b64encode(authority.read_bytes()).decode()
    for shipped in objects:
        spec: dict[str, Any] = shipped.get("spec", {})
        if shipped["kind"] == "Service":
            external = {"type": "ExternalName", "externalName": "localhost"}
            ports = [{"name": "https", "port": port, "protocol": "TCP"}]
            yield {**shipped, "spec": {**external, "ports": ports}}
        elif shipped["kind"] == "APIService":
            service = {**spec["service"], "port": port}
            yield {**shipped, "spec": {**spec, "service": service, "caBundle": bundle}}
        else:
            yield shipped
