"""Unknown keys do nothing, as Helm's users expect, and the notes of an installation name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.core.rules import config
from tests import helm
from tests.helm import Object

FILES = Path(__file__).parent / "values"
UNKNOWN = "this chart does not know these values"


def values_of(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    return values


def warned(notes: str) -> list[str]:
    """The lines about unknown keys."""
    _, found, rest = notes.partition(UNKNOWN)
    return [line.strip() for line in rest.split("\n\n")[1].splitlines()] if found else []


def one(objects: list[Object], kind: str) -> Object:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def test_the_notes_name_each_unknown_key_and_what_was_meant(tmp_path: Path) -> None:
    notes = helm.notes(tmp_path / helm.CHART.name, values_of("old-keys"))
    assert warned(notes) == [
        "image.imagePullSecrets: did you mean image.pullSecrets?",
        "image.registry: write it in front of image.repository",
        "loglevel: did you mean logLevel?",
        "networkPolicy.flavor",
        "prometheus.scheme",
        "prometheus.timeout",
        "rbac.pspEnabled",
        "rules.customs: did you mean rules.custom?",
        "runAsUser",
        "serviceMonitor.labels: did you mean serviceMonitor.additionalLabels?",
        "tls.insecureSkipVerify",
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"promethus": {"url": "http://x"}}, "promethus: did you mean prometheus?"),
        ({"prometheus": {"host": "http://x"}}, "prometheus.host"),
        ({"prometheus": {"utl": "http://x"}}, "prometheus.utl: did you mean prometheus.url?"),
        ({"replica": 3}, "replica: did you mean replicas?"),
        ({"imagePullSecrets": []}, "imagePullSecrets: did you mean image.pullSecrets?"),
        ({"pullPolicy": "Always"}, "pullPolicy: did you mean image.pullPolicy?"),
        ({"log-level": 3}, "log-level: did you mean logLevel?"),
        ({"autoscaling": {"enabled": False}}, "autoscaling"),
        ({"service": {"ipDualStack": {"family": 4}}}, "service.ipDualStack.family"),
    ],
    ids=str,
)
def test_an_unknown_key(tmp_path: Path, values: dict[str, Any], line: str) -> None:
    assert warned(helm.notes(tmp_path / helm.CHART.name, values)) == [line]
    assert helm.render(values) == helm.render()


@pytest.mark.parametrize("name", ["copied-whole", "everything", "managed-prometheus", "old-image"])
def test_known_keys_and_those_of_kubernetes_objects_are_not_warned_of(
    tmp_path: Path, name: str
) -> None:
    assert warned(helm.notes(tmp_path / helm.CHART.name, values_of(name))) == []


def test_an_image_is_put_together_as_by_the_predecessors_chart() -> None:
    """Whose chart knows no registry: the repository is the whole name."""
    deployment = one(helm.render(values_of("old-keys")), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "platform/metrics-apiserver:2.4.1"


def test_values_of_a_loose_type_become_what_kubernetes_takes() -> None:
    objects = helm.render(values_of("loose-types"))
    deployment = one(objects, "Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert "strategy" not in deployment
    pod = deployment["template"]
    assert pod["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "6443",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
    }
    assert pod["metadata"]["labels"]["tier"] == "1"
    assert pod["spec"]["nodeSelector"] == {"dedicated": "true"}
    assert {"tolerations", "hostNetwork"}.isdisjoint(pod["spec"])
    assert {"env", "resources"}.isdisjoint(pod["spec"]["containers"][0])
    bound = [one["roleRef"]["kind"] for one in objects if "auth-reader" in one["metadata"]["name"]]
    assert bound == ["ClusterRole"]
    rules = config.parse(one(objects, "ConfigMap")["data"]["config.yaml"].encode(), "rules")
    assert len(rules.rules) == 6


def test_one_half_of_the_resource_rules_stands_beside_the_packs_other(tmp_path: Path) -> None:
    """Each half whole: a mixture of two rules' overrides would map a node twice."""
    values = values_of("one-half")
    text = one(helm.render(values), "ConfigMap")["data"]["config.yaml"]
    found = yaml.safe_load(text)["resourceRules"]
    assert found["cpu"] == values["rules"]["resource"]["cpu"]
    assert found["window"] == "4m"
    pack = yaml.safe_load((helm.CHART / "files/rules/resource-rules.yaml").read_text())
    assert found["memory"] == pack["resourceRules"]["memory"]
    assert config.parse(text.encode(), "rules").resource_rules is not None
    assert "rules.resource has no" not in helm.notes(tmp_path / helm.CHART.name, values)


@pytest.mark.parametrize(("half", "other"), [("cpu", "memory"), ("memory", "cpu")])
def test_one_half_alone_is_rendered_and_the_notes_say_what_is_missing(
    tmp_path: Path, half: str, other: str
) -> None:
    rule = values_of("one-half")["rules"]["resource"]["cpu"]
    values = {"rules": {"resource": {half: rule}}}
    text = one(helm.render(values), "ConfigMap")["data"]["config.yaml"]
    assert yaml.safe_load(text)["resourceRules"] == {half: rule}
    notes = helm.notes(tmp_path / helm.CHART.name, values)
    assert f"rules.resource has no {other}," in notes
