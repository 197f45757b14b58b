"""The exporter's own metrics; those of each device are in families/state.py.

They are registered on a registry that is passed in and are read at each scrape, so that they are
correct even while the sampling thread hangs.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics_apiserver import __version__

_DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class ExporterTelemetry:
    """Every counter and gauge of the process; prefix `gpu_exporter_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._versions: tuple[str, ...] = ()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gpu_exporter_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"gpu_exporter_{name}", text, labels, registry=registry)

        self.up = gauge("up", "1 while NVML is initialised and responds.")
        self.build_info = gauge(
            "build_info",
            "Always 1, with the versions.",
            "version",
            "nvml_version",
            "driver_version",
            "cuda",
        )
        self.last_sample = gauge(
            "last_sample_timestamp_seconds", "When the served values were sampled, epoch seconds."
        )
        self.sample_duration = Histogram(
            "gpu_exporter_sample_duration_seconds",
            "Time one sampling round took, NVML calls and rendering.",
            buckets=_DURATION_BUCKETS,
            registry=registry,
        )
        self.interval = gauge(
            "sample_interval_seconds",
            "Time between two sampling rounds; doubled while rounds are slow.",
        )
        self.nvml_errors = counter("nvml_errors_total", "NVML calls that failed.", "call", "code")
        self.nvml_restarts = counter(
            "nvml_restarts_total", "Times NVML was initialised again.", "reason"
        )
        self.attribution_success = gauge(
            "attribution_last_success_timestamp_seconds",
            "When the allocations of the GPUs were last read, epoch seconds.",
            "mode",
        )
        self.attribution_errors = counter(
            "attribution_errors_total",
            "Allocations or processes that could not be attributed.",
            "reason",
        )
        self.unattributed = gauge(
            "unattributed_processes", "Processes on GPUs that belong to no pod known here."
        )
        self.dropped_values = counter(
            "dropped_values_total", "Values out of range that were left out.", "metric"
        )
        self.dropped_series = counter(
            "dropped_series_total", "Series left out because of --max-series.", "metric"
        )
        self.series = gauge("series", "Series in the served exposition.")
        self.scrapes = counter("scrapes_total", "Requests for metrics.", "code")
        self.web_reload_successful = gauge(
            "web_config_last_reload_successful",
            "0 while the web configuration on disk is invalid.",
        )

    def show_versions(self, nvml: str, driver: str, cuda: str) -> None:
        """Sets the build info; versions from before a driver reload are removed."""
        versions = (__version__, nvml, driver, cuda)
        if versions != self._versions:
            self._versions = versions
            self.build_info.clear()
            self.build_info.labels(*versions).set(1)
