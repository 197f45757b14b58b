"""Files that must stand in two places: a chart and a kustomization read nothing outside themselves.

`python -m tests.copies` writes each copy anew from its original; a test compares. Originals stand
in `config/`, but for the schema of the chart's values, which Helm hides from the chart's templates.
"""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/metrics-apiserver/files"
GPU_DASHBOARD = ROOT / "manifests/components/gpu-exporter/scrape/dashboard.json"
COMPONENT = ROOT / "manifests/components/monitoring"
GPU_COMPONENT = ROOT / "manifests/components/gpu-exporter/scrape"
PACKS = (
    "alibaba-gpu",
    "dcgm",
    "gpu-dcgm",
    "gpu-devices",
    "gpu-pods",
    "gpu-processes",
    "http-requests",
    "prometheus-adapter-defaults",
    "resource-rules",
)


def copies() -> dict[Path, str]:
    """What each copy must hold."""
    packs = {
        CHART / f"rules/{pack}.yaml": (ROOT / f"config/{pack}.yaml").read_text() for pack in PACKS
    }
    alerts = (ROOT / "config/monitoring/alerts.yaml").read_text()
    gpu_alerts = (ROOT / "config/monitoring/gpu-alerts.yaml").read_text()
    dashboard = (ROOT / "config/monitoring/dashboard.json").read_text()
    return {
        **packs,
        CHART / "values.schema.json": (CHART.parent / "values.schema.json").read_text(),
        CHART / "monitoring/alerts.yaml": alerts,
        CHART / "monitoring/gpu-alerts.yaml": gpu_alerts,
        CHART / "monitoring/dashboard.json": dashboard,
        CHART / "monitoring/gpu-dashboard.json": GPU_DASHBOARD.read_text(),
        COMPONENT / "dashboard.json": dashboard,
        COMPONENT / "prometheus-rule.yaml": _prometheus_rule(
            "custom-metrics-apiserver", "alerts.yaml", alerts
        ),
        GPU_COMPONENT / "prometheus-rule.yaml": _prometheus_rule(
            "nvml-exporter", "gpu-alerts.yaml", gpu_alerts
        ),
    }


def _prometheus_rule(name: str, file: str, alerts: str) -> str:
    head = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name, "namespace": "monitoring"},
        "spec": yaml.safe_load(alerts),
    }
    shown = yaml.safe_dump(head, sort_keys=False, width=100, allow_unicode=True)
    return f"# The alerts of config/monitoring/{file}, for the Prometheus Operator.\n{shown}"


def write() -> None:
    """Renews every copy."""
    for path, text in copies().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    write()
