"""Settings of what is read from Prometheus: the connection, relists, evaluations, with flags.

Refused are URLs and headers that hold what they must not, and credentials that contradict each
other. No message repeats a URL or a header: it may carry a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metrics_apiserver.base import checks as common
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag
from metrics_apiserver.options import checks

_TIMEOUT = Flag(
    "prometheus-timeout",
    "duration",
    10.0,
    "budget of one query, from connect to the last byte",
    check=common.positive,
)


@dataclass(frozen=True, slots=True)
class PrometheusSettings(SettingsGroup):
    """Where Prometheus is, who we are to it, and how much of its time and bytes we take.

    Attributes:
        url: http or https, with an optional path prefix; no user information, no query.
        verb: `auto` asks by GET and sends long queries by POST.
        headers: `name=value` each, sent with every request; the same name may come twice.
        token_file: file holding a bearer token; read again when it changes.
        username_file, password_file: files for basic authentication, both or neither.
        ca_file: PEM bundle that replaces the system's authorities.
        client_cert_file, client_key_file: PEM pair shown to Prometheus, both or neither.
        auth_incluster, auth_config: credentials of the service account or of a kubeconfig.
        timeout_seconds: whole budget of one call: waiting, connecting, asking, reading.
        fail_on_warnings: treat an answer with warnings (a partial one) as a failure.
        max_body_bytes: decoded bytes of one answer; answers that are reduced while they are
            read (series) may have `max_series_body_bytes`.
        max_concurrent: calls in flight at once.
        max_waiting: calls that may queue for a place; more are refused at once.
    """

    url: str = flag(
        "prometheus-url",
        "https://localhost",
        "base URL, with a path prefix if there is one",
        check=checks.url,
    )
    verb: str = flag(
        "prometheus-verb",
        "auto",
        "GET, POST, or auto: GET for short queries and POST for long ones",
        choices=("auto", "GET", "POST"),
    )
    headers: tuple[str, ...] = flag(
        "prometheus-header",
        [],
        "header name=value for every request; repeatable",
        kind="stringArray",
        check=checks.headers,
        secret=True,
    )
    token_file: str = flag(
        "prometheus-token-file", "", "file with a bearer token, read again when it changes"
    )
    username_file: str = flag(
        "prometheus-username-file", "", "file with a user name for basic authentication"
    )
    password_file: str = flag(
        "prometheus-password-file", "", "file with the password that goes with it"
    )
    ca_file: str = flag("prometheus-ca-file", "", "PEM bundle that verifies Prometheus")
    client_cert_file: str = flag(
        "prometheus-client-tls-cert-file", "", "client certificate, read again on change"
    )
    client_key_file: str = flag("prometheus-client-tls-key-file", "", "its private key")
    auth_incluster: bool = flag(
        "prometheus-auth-incluster",
        False,
        "authenticate to Prometheus with the pod's service account",
    )
    auth_config: str = flag(
        "prometheus-auth-config", "", "authenticate to Prometheus with this kubeconfig"
    )
    timeout_seconds: float = filled_by(_TIMEOUT)
    fail_on_warnings: bool = flag(
        "prometheus-warnings",
        "serve",
        "serve: count and log warnings of partial answers; fail: answer 503 instead",
        choices=("serve", "fail"),
        convert=lambda choice: choice == "fail",
    )
    max_body_bytes: int = flag(
        "prometheus-max-response-bytes",
        32 * 1024 * 1024,
        "decoded bytes of one answer",
        check=common.positive,
    )
    max_concurrent: int = flag(
        "prometheus-max-concurrent-queries", 20, "queries in flight at once", check=common.positive
    )
    max_series_body_bytes: int = 256 * 1024 * 1024
    max_waiting: int = 1000

    @property
    def header_pairs(self) -> tuple[tuple[str, str], ...]:
        """Headers as (name, value); a header without `=` has an empty value."""
        pairs = (header.partition("=") for header in self.headers)
        return tuple((name, value) for name, _, value in pairs)

    def validate(self) -> Iterator[tuple[str, str]]:
        """Credentials come in pairs, and one kind of them is enough."""
        if bool(self.username_file) != bool(self.password_file):
            yield "username_file", "needs {password_file}, and the reverse"
        if self.token_file and self.username_file:
            yield "token_file", "cannot be used together with {username_file}"
        if bool(self.client_cert_file) != bool(self.client_key_file):
            yield "client_cert_file", "needs {client_key_file}, and the reverse"
        if self.auth_incluster and self.auth_config:
            yield "auth_config", "cannot be used together with {auth_incluster}"


@dataclass(frozen=True, slots=True)
class RelistSettings(SettingsGroup):
    """Seconds between relists, and how far back a series may have been seen last."""

    interval_seconds: float = flag(
        "metrics-relist-interval",
        600.0,
        "interval at which the available metrics are listed again",
        check=common.between(0.1, float("inf"), "must be at least 100ms"),
    )
    chosen_max_age_seconds: float = flag(
        "metrics-max-age",
        0.0,
        "how far back a series may have been seen last; 0 means the relist interval",
        check=common.not_negative,
    )

    @property
    def max_age_seconds(self) -> float:
        """How far back a series may have been seen last."""
        return self.chosen_max_age_seconds or self.interval_seconds

    def validate(self) -> Iterator[tuple[str, str]]:
        """A series must be able to be seen by each relist."""
        if 0 < self.chosen_max_age_seconds < self.interval_seconds:
            yield "chosen_max_age_seconds", "must not be less than {interval_seconds}"


@dataclass(frozen=True, slots=True)
class EvaluationSettings(SettingsGroup):
    """How long one evaluation may be served (0: never again), and the budget of one query."""

    freshness_seconds: float = flag(
        "query-freshness",
        5.0,
        "how long one evaluation may be served; 0 asks Prometheus for every read",
        check=common.not_negative,
    )
    timeout_seconds: float = filled_by(_TIMEOUT)
