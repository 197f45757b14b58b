"""Alerts fire when they must and are silent otherwise, by promtool and its own clock.

Time begins at 0 there, so that an expiry in ten days is 864000.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builds import ROOT

ALERTS = ROOT / "config/monitoring/alerts.yaml"
GPU_ALERTS = ROOT / "config/monitoring/gpu-alerts.yaml"
DAY = 86400
OWN = "metrics_apiserver_"
EXPIRY = OWN + "serving_certificate_expiry_timestamp_seconds"
LOADED = OWN + "serving_certificate_last_reload_successful"
SYNC = OWN + "certificate_sync_timestamp_seconds"
FAILURES = OWN + "certificate_failures_total"
AUTHORITY = OWN + "certificate_authority_expiry_timestamp_seconds"
AUTHORITIES = OWN + "certificate_authorities"
DISTRUSTING = OWN + "certificate_distrusting_apiservices"


@dataclass(frozen=True)
class Case:
    """Series minute by minute in promtool's notation, and who fires at a time with which labels."""

    name: str
    at: str
    series: dict[str, str]
    firing: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(
        "all is well",
        "12h",
        {
            EXPIRY: f"{100 * DAY}x720",
            LOADED: "1x720",
            SYNC: "0+60x720",
            FAILURES: "3x720",
            AUTHORITY: f"{900 * DAY}x720",
            AUTHORITIES: "1x720",
            DISTRUSTING: "0x720",
        },
    ),
    # Gauges that stand at 0 where the server does not keep its certificate itself.
    Case(
        "the certificate comes from elsewhere",
        "12h",
        {
            EXPIRY: f"{100 * DAY}x720",
            LOADED: "1x720",
            SYNC: "0x720",
            FAILURES: "0x720",
            AUTHORITY: "0x720",
            AUTHORITIES: "0x720",
            DISTRUSTING: "0x720",
        },
    ),
    Case(
        "a week is left",
        "2h",
        {EXPIRY: f"{6 * DAY}x120"},
        {"MetricsAPIServerCertificateExpires": [{"severity": "warning"}]},
    ),
    Case(
        "a day is left",
        "2h",
        {EXPIRY: f"{DAY}x120"},
        {"MetricsAPIServerCertificateExpires": [{"severity": "critical"}, {"severity": "warning"}]},
    ),
    Case(
        "a pair that does not fit",
        "30m",
        {LOADED: "1x5 0x30"},
        {"MetricsAPIServerCertificateNotLoaded": [{"severity": "warning"}]},
    ),
    Case(
        "looked after until three hours ago",
        "4h",
        {SYNC: "0+60x60 3600x180"},
        {"MetricsAPIServerCertificateNotKept": [{"severity": "warning"}]},
    ),
    Case(
        "never once looked after",
        "1h",
        {SYNC: "0x60", FAILURES: "0+2x60"},
        {"MetricsAPIServerCertificateNotKept": [{"severity": "warning"}]},
    ),
    Case(
        "an APIService that trusts somebody else",
        "30m",
        {DISTRUSTING: "1x30"},
        {"MetricsAPIServerCertificateDistrusted": [{"severity": "critical"}]},
    ),
    Case("the same for as long as a step takes", "15m", {DISTRUSTING: "0x9 1x2 0x10"}),
    Case(
        "an authority at its end",
        "2h",
        {AUTHORITY: f"{20 * DAY}x120"},
        {"MetricsAPIServerAuthorityExpires": [{"severity": "warning"}]},
    ),
    Case("two authorities for an hour", "8h", {AUTHORITIES: "1x300 2x60 1x200"}),
    Case(
        "two authorities for good",
        "8h",
        {AUTHORITIES: "1x60 2x600"},
        {"MetricsAPIServerRotationStalls": [{"severity": "warning"}]},
    ),
]


ASKED = 'instance="one",job="exporter"'
ONE = f"{{{ASKED}}}"
UP = f"gpu_exporter_up{ONE}"
HOLDERS = f'gpu_exporter_attribution_last_success_timestamp_seconds{{{ASKED},mode="daemonset"}}'
ERRORS = f'gpu_exporter_attribution_errors_total{{{ASKED},reason="socket"}}'
LOST = 'gpu_exporter_device_lost{instance="one",uuid="GPU-1"}'
THERE = f"gpu_exporter_build_info{ONE}"
GPU_CASES = [
    Case(
        "all is well with the GPUs",
        "2h",
        {THERE: "1x120", UP: "1x120", HOLDERS: "0+60x120", ERRORS: "3x120", LOST: "0x120"},
    ),
    Case("devices without pods", "2h", {THERE: "1x120", UP: "1x120"}),
    Case("nobody is scraped", "1h", {UP: "0x1"}, {"GPUExporterAbsent": [{}]}),
    Case(
        "no driver",
        "1h",
        {THERE: "1x60", UP: "0x60"},
        {"GPUExporterWithoutDriver": [{"instance": "one", "job": "exporter"}]},
    ),
    Case(
        "a lost GPU",
        "1h",
        {THERE: "1x60", LOST: "0x30 1x30"},
        {"GPUExporterDeviceLost": [{"instance": "one", "uuid": "GPU-1"}]},
    ),
    Case(
        "a kubelet that went away",
        "1h",
        {THERE: "1x60", UP: "1x60", HOLDERS: "0+60x20 1200x40", ERRORS: "0x20 0+6x40"},
        {
            "GPUExporterHoldersUnknown": [
                {"instance": "one", "job": "exporter", "mode": "daemonset"}
            ]
        },
    ),
    Case(
        "a kubelet that never answered",
        "1h",
        {THERE: "1x60", UP: "1x60", ERRORS: "1+6x60"},
        {"GPUExporterHoldersUnknown": [{"instance": "one", "job": "exporter"}]},
    ),
    Case(
        "too many series",
        "1h",
        {THERE: "1x60", f"gpu_exporter_dropped_series_total{ONE}": "0+5x60"},
        {"GPUExporterSeriesLeftOut": [{"instance": "one"}]},
    ),
    Case(
        "a broken web configuration",
        "1h",
        {THERE: "1x60", f"gpu_exporter_web_config_last_reload_successful{ONE}": "0x60"},
        {"GPUExporterWebConfigNotLoaded": [{"instance": "one", "job": "exporter"}]},
    ),
]


def rules(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(file.read_text())["groups"][0]["rules"]
    return found


def of_certificates() -> list[str]:
    """The alerts of the server that these cases are about, each once."""
    return sorted({one["alert"] for one in rules(ALERTS) if "certificate" in one["expr"]})


def of_gpus() -> list[str]:
    return sorted({one["alert"] for one in rules(GPU_ALERTS)})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_fires(case: Case, tmp_path: Path) -> None:
    check_with_promtool(ALERTS, of_certificates(), case, tmp_path)


@pytest.mark.parametrize("case", GPU_CASES, ids=str)
def test_who_fires_of_the_exporters(case: Case, tmp_path: Path) -> None:
    check_with_promtool(GPU_ALERTS, of_gpus(), case, tmp_path)


def check_with_promtool(file: Path, alerts: list[str], case: Case, folder: Path) -> None:
    """Lets promtool compare what fires of these alerts with what the case says."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH")
    kept = [{key: one[key] for key in one if key != "annotations"} for one in rules(file)]
    # Without their words, which hold numbers that are no matter here.
    (folder / "alerts.json").write_text(json.dumps({"groups": [{"name": "all", "rules": kept}]}))
    severities = {one["alert"]: one["labels"] for one in rules(file)}
    tests = [expectation(case, alert, severities[alert]) for alert in alerts]
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": tests}
    path = folder / "test.json"
    path.write_text(json.dumps({"rule_files": [str(folder / "alerts.json")], "tests": [test]}))
    command = [promtool, "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expectation(case: Case, alert: str, labels: dict[str, str]) -> dict[str, Any]:
    firing = [{"exp_labels": {**labels, **more}} for more in case.firing.get(alert, [])]
    return {"eval_time": case.at, "alertname": alert, "exp_alerts": firing}


@pytest.mark.parametrize(("cases", "alerts"), [(CASES, of_certificates()), (GPU_CASES, of_gpus())])
def test_every_alert_is_seen_to_fire(cases: list[Case], alerts: list[str]) -> None:
    assert sorted({alert for case in cases for alert in case.firing}) == alerts


def test_the_exporters_alerts_speak_of_its_metrics() -> None:
    page = (ROOT / "docs/gpu-exporter.md").read_text()
    for one in rules(GPU_ALERTS):
        used = re.findall(r"gpu_exporter_\w+", one["expr"])
        assert used
        assert all(f"| `{name}` |" in page for name in used)
