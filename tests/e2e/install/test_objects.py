"""kube-apiserver takes every object of the chart, of the manifests and of the examples.

Each is applied as a trial, with unknown fields refused, and without a warning: the namespaces warn
of what the Pod Security Standard `restricted` would not admit.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests import builds, helm
from tests.e2e.harness import manifests, ways
from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.installation import Installation
from tests.fakes import chart_values

SAMPLES = sorted((builds.ROOT / "tests/unit/chart/values").glob("*.yaml"))
MANIFESTS = builds.ROOT / "manifests/components"
COMPONENTS = sorted(
    str(path.parent.relative_to(MANIFESTS)) for path in MANIFESTS.glob("*/kustomization.yaml")
) + sorted(
    str(path.parent.relative_to(MANIFESTS)) for path in MANIFESTS.glob("*/*/kustomization.yaml")
)
# Pods of values files that use the host network go here, and are not restricted.
UNRESTRICTED = "kube-system"


def mounts_the_host(one: Object) -> bool:
    """As the pods of the exporter, which call the kubelet: they cannot be restricted."""
    pod = one["spec"]["template"]["spec"] if one["kind"] == "DaemonSet" else {}
    return any("hostPath" in volume for volume in pod.get("volumes", ()))


def assert_taken(site: Installation, objects: list[Object]) -> None:
    """Every object passes validation and admission without a warning."""
    for one in objects:
        answer = site.try_out(one)
        what = f"{one['kind']} {one['metadata']['name']}"
        assert answer.status in {200, 201}, f"{what}: {answer.body}"
        free = one["metadata"].get("namespace") == UNRESTRICTED or mounts_the_host(one)
        warning = answer.headers.get("Warning", "")
        # A sample's key is none: no key stands in a repository.
        assert free or warning == "" or "PEM data in key" in warning, f"{what}: {warning}"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_object_of_the_chart(site: Installation, path: Path) -> None:
    assert_taken(site, helm.render(files=[path], namespace=ways.NAMESPACE))


@pytest.mark.parametrize("scene", chart_values.SCENES)
def test_every_value_of_the_chart(site: Installation, scene: str) -> None:
    assert_taken(site, helm.render(chart_values.values_of(scene), namespace=ways.NAMESPACE))


@pytest.mark.parametrize("component", [*COMPONENTS, "all of them"])
def test_every_object_of_the_manifests(site: Installation, component: str) -> None:
    outer, _, inner = component.partition("/")
    chosen = COMPONENTS if component == "all of them" else [outer, *([component] if inner else [])]
    folder = site.directory / "overlays" / component.replace(" ", "-")
    assert_taken(site, manifests.render(manifests.overlay(folder, chosen)))


def test_every_example(site: Installation) -> None:
    for path in sorted((builds.ROOT / "config/examples").glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            assert_taken(site, [{**one, "metadata": {**one["metadata"], "namespace": "default"}}])
