"""Alerts fire when they must and are silent otherwise, by promtool and its own clock.

Time begins at 0 there, so that an expiry in ten days is 864000.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import ROOT

ALERTS = ROOT / "config/monitoring/alerts.yaml"
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
    """Series minute by minute in promtool's notation, and who fires at a time."""

    name: str
    at: str
    series: dict[str, str]
    firing: dict[str, list[str]] = field(default_factory=dict)

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
        {"MetricsAPIServerCertificateExpires": ["warning"]},
    ),
    Case(
        "a day is left",
        "2h",
        {EXPIRY: f"{DAY}x120"},
        {"MetricsAPIServerCertificateExpires": ["critical", "warning"]},
    ),
    Case(
        "a pair that does not fit",
        "30m",
        {LOADED: "1x5 0x30"},
        {"MetricsAPIServerCertificateNotLoaded": ["warning"]},
    ),
    Case(
        "looked after until three hours ago",
        "4h",
        {SYNC: "0+60x60 3600x180"},
        {"MetricsAPIServerCertificateNotKept": ["warning"]},
    ),
    Case(
        "never once looked after",
        "1h",
        {SYNC: "0x60", FAILURES: "0+2x60"},
        {"MetricsAPIServerCertificateNotKept": ["warning"]},
    ),
    Case(
        "an APIService that trusts somebody else",
        "30m",
        {DISTRUSTING: "1x30"},
        {"MetricsAPIServerCertificateDistrusted": ["critical"]},
    ),
    Case("the same for as long as a step takes", "15m", {DISTRUSTING: "0x9 1x2 0x10"}),
    Case(
        "an authority at its end",
        "2h",
        {AUTHORITY: f"{20 * DAY}x120"},
        {"MetricsAPIServerAuthorityExpires": ["warning"]},
    ),
    Case("two authorities for an hour", "8h", {AUTHORITIES: "1x300 2x60 1x200"}),
    Case(
        "two authorities for good",
        "8h",
        {AUTHORITIES: "1x60 2x600"},
        {"MetricsAPIServerRotationStalls": ["warning"]},
    ),
]


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    return found


def of_certificates() -> list[str]:
    """The alerts that these cases are about, each once."""
    return sorted({one["alert"] for one in rules() if "certificate" in one["expr"]})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_fires(case: Case, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH")
    tests = [expectation(case, alert) for alert in of_certificates()]
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": tests}
    file = tmp_path / "test.json"
    file.write_text(json.dumps({"rule_files": [str(stripped(tmp_path))], "tests": [test]}))
    command = [promtool, "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expectation(case: Case, alert: str) -> dict[str, Any]:
    severities = case.firing.get(alert, [])
    firing = [{"exp_labels": {"severity": severity}} for severity in severities]
    return {"eval_time": case.at, "alertname": alert, "exp_alerts": firing}


def stripped(folder: Path) -> Path:
    """The rules without their words, which hold numbers that are no matter here."""
    kept = [{key: one[key] for key in one if key != "annotations"} for one in rules()]
    path = folder / "alerts.json"
    path.write_text(json.dumps({"groups": [{"name": "all", "rules": kept}]}))
    return path


def test_every_alert_of_certificates_is_seen_to_fire() -> None:
    assert sorted({alert for case in CASES for alert in case.firing}) == of_certificates()
