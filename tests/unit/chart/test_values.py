"""Values files of prometheus-adapter's chart are taken as they are, and wrong types are not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.base import errors
from metrics_apiserver.core.rules import config
from metrics_apiserver.options import serve
from metrics_apiserver.options.settings import ServeSettings
from tests import helm
from tests.helm import CHART, Object, Refused

SAMPLES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

# Every key of the chart prometheus-adapter 5.x: `key`, or `key` with its own keys.
PREDECESSOR: dict[str, str] = {
    "": (
        "nameOverride fullnameOverride namespaceOverride customLabels customAnnotations"
        " deploymentAnnotations podLabels podAnnotations logLevel metricsRelistInterval listenPort"
        " extraArguments env replicas strategy resources affinity topologySpreadConstraints"
        " nodeSelector tolerations priorityClassName dnsConfig dnsPolicy revisionHistoryLimit"
        " livenessProbe readinessProbe startupProbe podSecurityContext securityContext"
        " automountServiceAccountToken extraVolumes extraVolumeMounts extraContainers"
        " extraManifests psp"
    ),
    "image": "repository tag pullPolicy pullSecrets",
    "prometheus": "url port path",
    "rules": "default custom external resource existing",
    "hostNetwork": "enabled",
    "podDisruptionBudget": "enabled minAvailable maxUnavailable unhealthyPodEvictionPolicy",
    "serviceAccount": "create name annotations automountServiceAccountToken",
    "rbac": "create useAuthReaderClusterRole customMetrics externalMetrics",
    "tls": "enable ca key certificate",
    "certManager": (
        "enabled caCertDuration certDuration caCertRevisionHistoryLimit certRevisionHistoryLimit"
    ),
    "service": "annotations port type clusterIP ipDualStack",
}


def one(objects: list[Object], kind: str) -> Object:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def container(objects: list[Object]) -> Object:
    found: Object = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def settings(objects: list[Object]) -> ServeSettings:
    """What the server makes of the rendered arguments."""
    return serve.parse(container(objects)["args"])


@pytest.mark.parametrize("place", PREDECESSOR)
def test_every_key_of_the_predecessor_is_known(place: str) -> None:
    schema = SCHEMA["properties"][place] if place else SCHEMA
    assert set(PREDECESSOR[place].split()) <= schema["properties"].keys()


def test_every_default_is_in_the_schema_and_the_reverse() -> None:
    without_default = {"enabled", "global", "psp"}
    assert set(SCHEMA["properties"]) - without_default == set(VALUES)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_values_file_renders_to_flags_and_rules_that_the_server_takes(path: Path) -> None:
    objects = helm.render(files=[path])
    assert settings(objects).config == "/etc/adapter/config.yaml"
    names = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects
    ]
    assert len(names) == len(set(names))
    for found in objects:
        if found["kind"] == "ConfigMap" and "config.yaml" in found["data"]:
            rules = config.parse(found["data"]["config.yaml"].encode(), path.name)
            assert rules.warnings == ()


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"rules": {"custom": [{"seriesquery": "x"}]}}, "/rules/custom/0"),
        (
            {"rules": {"external": [{"seriesQuery": "x", "name": {"match": "x"}}]}},
            "/rules/external/0/name",
        ),
        (
            {"rules": {"custom": [{"seriesQuery": "x", "onNaN": "nothing"}]}},
            "/rules/custom/0/onNaN",
        ),
        ({"rules": {"resource": {"cpus": {}}}}, "/rules/resource"),
        ({"rules": {"custom": {"seriesQuery": "x"}}}, "/rules/custom"),
        ({"rules": {"default": "false"}}, "/rules/default"),
        ({"prometheus": "http://x"}, "/prometheus"),
        ({"image": "metrics-apiserver:1"}, "/image"),
        ({"image": {"repository": None}}, "repository"),
        ({"env": {"A": "b"}}, "/env"),
        ({"podAnnotations": {"a": ["b"]}}, "/podAnnotations"),
        ({"replicas": "two"}, "/replicas"),
        ({"livenessProbe": True}, "/livenessProbe"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"metricsRelistInterval": "one minute"}, "/metricsRelistInterval"),
        ({"tls": {"mode": "none"}}, "/tls/mode"),
        ({"rulePacks": {"nvidia": True}}, "/rulePacks"),
        ({"networkPolicy": {"prometheus": {"ports": [0]}}}, "/networkPolicy/prometheus/ports"),
        ({"extraArguments": "--v=4"}, "/extraArguments"),
        # What `helm upgrade --reuse-values` from the predecessor's chart leaves behind.
        ({"rulePacks": None, "apiServices": None}, "rulePacks"),
    ],
    ids=str,
)
def test_a_typing_error_is_named(values: dict[str, Any], place: str) -> None:
    with pytest.raises(Refused, match=r"don't meet the specifications") as refused:
        helm.render(values)
    assert place in str(refused.value)


def known_keys(text: str) -> set[str]:
    """What the server takes beside an unknown key, out of its own fault."""
    with pytest.raises(errors.ConfigError) as refused:
        config.parse(text.encode(), "rules")
    advice = [fault.message.partition("known are ")[2] for fault in refused.value.diagnostics]
    return set(next(filter(None, advice)).split(", "))


def test_the_schema_knows_the_keys_of_rules() -> None:
    defined = SCHEMA["$defs"]
    assert set(defined["rule"]["properties"]) == known_keys("rules: [{unknown: 1}]")
    assert set(defined["resourceRule"]["properties"]) == known_keys(
        "resourceRules: {cpu: {unknown: 1}}"
    )


URLS = [
    ({"url": "http://p.svc", "port": 9090}, "http://p.svc:9090"),
    ({"url": "http://p.svc/", "port": 9090}, "http://p.svc:9090"),
    ({"url": "http://p.svc", "port": 9090, "path": "/prefix"}, "http://p.svc:9090/prefix"),
    ({"url": "http://p.svc", "port": 0, "path": "/prefix"}, "http://p.svc/prefix"),
    ({"url": "http://p.svc", "port": "0"}, "http://p.svc"),
    ({"url": "http://p.svc:80", "port": 9090}, "http://p.svc:80"),
    ({"url": "https://p.example/prefix", "port": 9090}, "https://p.example/prefix"),
    ({"url": "http://[fd00::1]", "port": 9090}, "http://[fd00::1]:9090"),
    ({"url": "http://{{ .Release.Name }}.svc", "port": 9090}, "http://release.svc:9090"),
]


@pytest.mark.parametrize(("prometheus", "url"), URLS, ids=str)
def test_the_url_of_prometheus(prometheus: dict[str, Any], url: str) -> None:
    objects = helm.render({"prometheus": prometheus})
    assert f"--prometheus-url={url}" in container(objects)["args"]


@pytest.mark.parametrize(
    ("image", "used"),
    [
        ({}, "metrics-apiserver:0.1.0"),
        ({"repository": "r.example/metrics-apiserver"}, "r.example/metrics-apiserver:0.1.0"),
        ({"tag": "0.2.0"}, "metrics-apiserver:0.2.0"),
        ({"tag": "v0.11.2"}, "metrics-apiserver:0.1.0"),
        (
            {"repository": "k8s.gcr.io/prometheus-adapter/prometheus-adapter", "tag": "v0.9.1"},
            "metrics-apiserver:0.1.0",
        ),
        ({"repository": "x/prometheus-adapter-amd64", "tag": "latest"}, "metrics-apiserver:0.1.0"),
        ({"digest": f"sha256:{'0' * 64}"}, f"metrics-apiserver@sha256:{'0' * 64}"),
    ],
    ids=str,
)
def test_the_image(image: dict[str, str], used: str) -> None:
    assert container(helm.render({"image": image}))["image"] == used


def test_of_two_rules_for_one_metric_the_users_own_stands_last() -> None:
    own = {"seriesQuery": "mine", "metricsQuery": "<<.Series>>{<<.LabelMatchers>>}"}
    objects = helm.render({"rules": {"custom": [own]}, "rulePacks": {"dcgm": True}})
    rules = config.parse(one(objects, "ConfigMap")["data"]["config.yaml"].encode(), "rules").rules
    queries = [rule.series_query for rule in rules]
    assert queries[0].startswith('{__name__=~"^container_.*"')
    assert queries[6].startswith('{__name__=~"^DCGM_FI_.*"')
    assert queries[-1] == "mine"


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        ({}, ["v1beta1.custom", "v1beta2.custom"]),
        ({"rules": {"default": False}}, []),
        ({"rules": {"default": False}, "rulePacks": {"cadvisorResources": True}}, ["v1beta1"]),
        (
            {"rules": {"existing": "rules"}, "apiServices": {"custom": False, "external": True}},
            ["v1beta1.external"],
        ),
        (
            {"rules": {"external": [{"seriesQuery": "x"}]}},
            ["v1beta1.custom", "v1beta2.custom", "v1beta1.external"],
        ),
    ],
    ids=str,
)
def test_the_server_answers_the_groups_that_it_has_rules_for(
    values: dict[str, Any], groups: list[str]
) -> None:
    names = [one["metadata"]["name"] for one in helm.render(values) if one["kind"] == "APIService"]
    assert sorted(names) == sorted(f"{group}.metrics.k8s.io" for group in groups)


def test_a_release_of_the_predecessor_is_taken_over_under_its_names() -> None:
    """By nameOverride: what cannot be changed in place, the selector above all, stays as it was."""
    objects = helm.render({"nameOverride": "prometheus-adapter"}, release="prometheus-adapter")
    deployment = one(objects, "Deployment")
    assert deployment["metadata"]["name"] == "prometheus-adapter"
    assert deployment["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "prometheus-adapter",
        "app.kubernetes.io/instance": "prometheus-adapter",
    }
    roles = {one["metadata"]["name"] for one in objects if one["kind"].startswith("ClusterRole")}
    assert roles == {
        "prometheus-adapter-system-auth-delegator",
        "prometheus-adapter-resource-reader",
        "prometheus-adapter-server-resources",
        "prometheus-adapter-hpa-controller",
        "prometheus-adapter-certificates",
    }


def test_recreate_has_no_settings_of_a_rolling_update() -> None:
    objects = helm.render({"strategy": {"type": "Recreate"}})
    assert one(objects, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_minimum_available_wins() -> None:
    budget = {"enabled": True, "minAvailable": 1}
    spec = one(helm.render({"podDisruptionBudget": budget}), "PodDisruptionBudget")["spec"]
    assert spec.keys() == {"minAvailable", "selector"}


def test_custom_annotations_stand_alone() -> None:
    objects = helm.render({"customAnnotations": {"owner": "me"}})
    for found in objects:
        assert found["metadata"]["annotations"] == {"owner": "me"}


def test_a_chart_above_may_call_it_by_the_predecessors_name(tmp_path: Path) -> None:
    """As charts do that list several: by an alias, with a condition, and globals beside it."""
    alias = "prometheus-adapter"
    dependency = {
        "name": CHART.name,
        "alias": alias,
        "version": "*",
        "condition": f"{alias}.enabled",
    }
    above = {"apiVersion": "v2", "name": "above", "version": "1.0.0", "dependencies": [dependency]}
    values = {alias: {"enabled": True, "replicas": 2}, "global": {"cluster": "one"}}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(above))
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    shutil.copytree(CHART, tmp_path / "charts" / CHART.name)
    version = f"--kube-version={helm.KUBE_VERSION}"
    objects = list(yaml.safe_load_all(helm.run("template", "r", str(tmp_path), version)))
    deployment = one(objects, "Deployment")
    assert deployment["metadata"]["name"] == "r-prometheus-adapter"
    assert deployment["spec"]["replicas"] == 2
    rules = config.parse(one(objects, "ConfigMap")["data"]["config.yaml"].encode(), "rules").rules
    assert len(rules) == 6
    switched_off = f"--set={alias}.enabled=false"
    assert helm.run("template", "r", str(tmp_path), version, switched_off).strip() == ""
