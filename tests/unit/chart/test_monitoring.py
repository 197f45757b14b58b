"""Alerts and dashboard speak of metrics that the server has, and scraping verifies the server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core import promql
from tests import copies, helm
from tests.builds import ROOT
from tests.helm import Object, Refused

ALERTS = ROOT / "config/monitoring/alerts.yaml"
DASHBOARD = json.loads((ROOT / "config/monitoring/dashboard.json").read_text())
OWN_METRIC = re.compile(r"\b(?:metrics_apiserver|prometheus_adapter)_\w+")
MATCHED_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
FOREIGN_LABELS = {"job", "pod", "instance", "name", "le"}


def alerts() -> list[Object]:
    found: list[Object] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [one["expr"] for one in alerts()] + panels


def self_metrics() -> dict[str, set[str]]:
    """Every series name with its labels."""
    telemetry = Telemetry()
    found: dict[str, set[str]] = {}
    for metric in vars(telemetry).values():
        if name := getattr(metric, "_name", None):
            for end in ("", "_total", "_bucket", "_sum", "_count"):
                found[name + end] = set(metric._labelnames)
    return found


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_is_promql_over_self_metrics(expression: str) -> None:
    plain = expression.replace("$__rate_interval", "5m")
    promql.validate(plain)
    known = self_metrics()
    used = set(OWN_METRIC.findall(plain))
    assert used <= known.keys()
    if used:
        labels = set.union(*(known[name] for name in used))
        assert set(MATCHED_LABEL.findall(plain)) <= labels | FOREIGN_LABELS


@pytest.mark.parametrize("path", sorted(ALERTS.parent.glob("*alerts.yaml")), ids=lambda p: p.name)
def test_promtool_takes_the_alerts(path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH")
    command = [promtool, "check", "rules", "--lint-fatal", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # One alert with two severities is on purpose; nothing else may be found.
    assert done.returncode == 0 or "duplicate" in done.stdout + done.stderr, done


def test_every_alert_says_what_and_why() -> None:
    for one in alerts():
        assert one["labels"]["severity"] in {"critical", "warning", "info"}
        assert one["annotations"].keys() == {"summary", "description", "runbook_url"}


def sections(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    found = re.findall(r"^#{2,4} (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in found}


def every_alert() -> list[Object]:
    """The alerts of the server and of the GPU exporter."""
    files = sorted(ALERTS.parent.glob("*alerts.yaml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return [one for group in groups for one in group["rules"]]


@pytest.mark.parametrize(
    "alert", every_alert(), ids=lambda one: f"{one['alert']} {one['labels']['severity']}"
)
def test_every_alert_leads_to_its_own_section_of_troubleshooting(alert: Object) -> None:
    address, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert address == f"{project['urls']['Repository']}/blob/main/docs/troubleshooting.md"
    assert anchor == alert["alert"].lower()
    assert anchor in sections((ROOT / "docs/troubleshooting.md").read_text())


@pytest.mark.parametrize("path", copies.copies(), ids=lambda path: str(path.relative_to(ROOT)))
def test_copies_are_up_to_date(path: Path) -> None:
    assert path.read_text() == copies.copies()[path], "run `python -m tests.copies`"


def test_the_rule_of_the_operator_has_every_alert_but_those_disabled() -> None:
    disabled = ["MetricsAPIServerAbsent"]
    rule = {"enabled": True, "disabled": disabled}
    (found,) = [
        one for one in helm.render({"prometheusRule": rule}) if one["kind"] == "PrometheusRule"
    ]
    (group,) = found["spec"]["groups"]
    assert group["rules"] == [one for one in alerts() if one["alert"] not in disabled]


def test_the_exporters_alerts_come_with_it() -> None:
    values = {"prometheusRule": {"enabled": True}, "gpuExporter": {"enabled": True}}
    found = [one for one in helm.render(values) if one["kind"] == "PrometheusRule"]
    groups = {one["metadata"]["name"]: one["spec"]["groups"] for one in found}
    shipped = yaml.safe_load((ROOT / "config/monitoring/gpu-alerts.yaml").read_text())["groups"]
    assert groups[f"{NAME}-gpu"] == shipped
    assert len(groups) == 2


def test_grafana_finds_the_dashboard() -> None:
    objects = helm.render({"grafanaDashboard": {"enabled": True}})
    (found,) = [one for one in objects if one["metadata"]["name"].endswith("-dashboard")]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(found["data"]["metrics-apiserver.json"]) == DASHBOARD


def monitor(values: dict[str, Any]) -> Object:
    (found,) = [one for one in helm.render(values) if one["kind"] == "ServiceMonitor"]
    spec: Object = found["spec"]
    return spec


CA = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
NAME = "release-metrics-apiserver"


@pytest.mark.parametrize(
    ("values", "secret", "key"),
    [
        ({}, f"{NAME}-serving-cert", "ca.crt"),
        ({"certManager": {"enabled": True}}, NAME, "ca.crt"),
        ({"tls": {"ca": CA, "secret": {"name": "pair", "caKey": "root.crt"}}}, "pair", "root.crt"),
        ({"tls": {"enable": True, "ca": CA, "certificate": "c", "key": "k"}}, NAME, "ca.crt"),
    ],
    ids=str,
)
def test_a_scrape_verifies_the_server(values: dict[str, Any], secret: str, key: str) -> None:
    (endpoint,) = monitor({**values, "serviceMonitor": {"enabled": True}})["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"] == {
        "serverName": f"{NAME}.monitoring.svc",
        "ca": {"secret": {"name": secret, "key": key}},
    }


def test_a_monitor_elsewhere_needs_an_authority_there() -> None:
    there = {"enabled": True, "namespace": "elsewhere"}
    with pytest.raises(Refused, match=r"set serviceMonitor\.tlsConfig"):
        monitor({"serviceMonitor": there})
    settings = {"insecureSkipVerify": True}
    (endpoint,) = monitor({"serviceMonitor": {**there, "tlsConfig": settings}})["endpoints"]
    assert endpoint["tlsConfig"] == settings


def test_prometheus_gets_the_right_to_read_metrics() -> None:
    account = {"name": "prometheus-k8s", "namespace": "observability"}
    settings = {"enabled": True, "prometheusServiceAccount": account}
    objects = helm.render({"serviceMonitor": settings})
    (role,) = [one for one in objects if one["metadata"]["name"] == f"{NAME}-scrape"][:1]
    assert role["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    binding = [one for one in objects if one["metadata"]["name"] == f"{NAME}-scrape"][1]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account}]
