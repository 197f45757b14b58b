"""Every self-metric, on a registry that is passed in.

No label holds a name, namespace, user or path: the number of series stays constant whatever
clients ask. `prometheus_adapter_prometheus_client_request_duration_seconds` keeps the predecessor's
name for dashboards in use. docs/metrics.md describes each one (a test compares).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PREFIX = "metrics_apiserver"


class Telemetry:
    """The self-metrics of one process.

    Args:
        registry: where they are registered; its own by default.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry(auto_describe=False)
        self._serving()
        self._upstream()
        self._state()
        self._certificates()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(
            f"{_PREFIX}_{name}", text, labels, registry=self.registry, buckets=_LATENCIES
        )

    def _serving(self) -> None:
        self.requests = self._counter(
            "requests_total", "Requests answered, by API group and HTTP code.", "group", "code"
        )
        self.request_seconds = self._histogram(
            "request_duration_seconds", "Time from parsed request to answer.", "group"
        )
        self.in_flight = self._gauge("requests_in_flight", "Requests being answered now.")
        self.connections = self._gauge("connections", "Open client connections.")
        self.rejected = self._counter(
            "rejected_total",
            "Requests or connections refused before the gate, by reason.",
            "reason",
        )
        self.authentications = self._counter(
            "authentications_total", "Identities decided, by method.", "method"
        )
        self.loop_lag_seconds = self._gauge(
            "event_loop_lag_max_seconds", "Longest delay of the event loop in the last 15 seconds."
        )

    def _upstream(self) -> None:
        self.prometheus_seconds = Histogram(
            "prometheus_adapter_prometheus_client_request_duration_seconds",
            "Time of requests to Prometheus, by API path.",
            ("path", "server"),
            registry=self.registry,
            buckets=_LATENCIES,
        )
        self.prometheus_requests = self._counter(
            "prometheus_requests_total",
            "Requests to Prometheus, by endpoint and outcome.",
            "endpoint",
            "outcome",
        )
        self.prometheus_warnings = self._counter(
            "prometheus_warnings_total", "Answers of Prometheus that carried warnings."
        )
        self.prometheus_refused = self._gauge(
            "prometheus_refused",
            "1 while Prometheus refuses this and something else is asked instead.",
            "capability",
        )
        self.evaluations = self._counter(
            "evaluations_total", "Uses of an evaluation: bulk, exact, shared, fallback.", "kind"
        )
        self.samples_left_out = self._counter(
            "samples_left_out_total",
            "Values not served as they were, by rule and reason.",
            "rule",
            "reason",
        )

    def _state(self) -> None:
        self.relist_failures = self._counter(
            "relist_failures_total", "Series queries that failed at relist, by rule.", "rule"
        )
        self.relist_seconds = self._gauge(
            "relist_duration_seconds", "Time that the last relist took."
        )
        self.relist_timestamp = self._gauge(
            "relist_timestamp_seconds", "When the last relist ended."
        )
        self.metrics = self._gauge("metrics", "Metrics offered, by API.", "api")
        self.rule_problems = self._gauge(
            "rule_problems", "Problems of the rules in use, by kind.", "kind"
        )
        self.config_reload_ok = self._gauge(
            "config_last_reload_successful", "1 if the last load of the rule file succeeded."
        )
        self.config_reload_timestamp = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the rules in use were loaded."
        )
        self.certificate_expiry = self._gauge(
            "serving_certificate_expiry_timestamp_seconds", "When the serving certificate expires."
        )
        self.certificate_reload_ok = self._gauge(
            "serving_certificate_last_reload_successful",
            "1 if the last load of the serving certificate and key succeeded.",
        )
        self.watched_objects = self._gauge(
            "watched_objects", "Objects held from watches, by resource.", "resource"
        )
        self.build = self._gauge("build_info", "Constant 1, with the version.", "version")

    def _certificates(self) -> None:
        self.certificate_steps = self._counter(
            "certificate_steps_total", "Steps of self-managed certificates taken here.", "kind"
        )
        self.certificate_failures = self._counter(
            "certificate_failures_total",
            "Turns of self-managed certificates that could not read or write.",
        )
        self.certificate_sync_timestamp = self._gauge(
            "certificate_sync_timestamp_seconds",
            "When Secret and APIServices were last seen whole; 0 where they are not managed here.",
        )
        self.certificate_authority_expiry = self._gauge(
            "certificate_authority_expiry_timestamp_seconds",
            "When the CA of self-managed certificates expires; 0 where there is none.",
        )
        self.certificate_authorities = self._gauge(
            "certificate_authorities",
            "Authorities in the Secret; more than one while one takes over from another.",
        )
        self.certificate_distrusting = self._gauge(
            "certificate_distrusting_apiservices",
            "APIServices whose caBundle does not verify the certificate that is served.",
        )

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
