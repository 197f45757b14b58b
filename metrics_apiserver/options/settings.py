"""What the process was told by its flags, as frozen values: nothing here opens a file or a socket.

Each class checks itself when it is made and refuses with every fault at once, so that a wrong
flag ends the process before it serves anything. Fields that may hold a secret stay out of `repr`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError

Verb = Literal["auto", "GET", "POST"]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The client frames its requests itself; a second opinion on these is request smuggling.
_FRAMING_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "transfer-encoding"}
)


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where Prometheus is, who we are to it, and how much of its time and bytes we take.

    Attributes:
        url: http or https, with an optional path prefix; no user information, no query.
        verb: `auto` asks by GET and sends long queries by POST.
        headers: `name=value` each, sent with every request; the same name may come twice.
        token_file: file holding a bearer token; read again when it changes.
        username_file, password_file: files for basic authentication, both or neither.
        ca_file: PEM bundle that replaces the system's authorities.
        client_cert_file, client_key_file: PEM pair shown to Prometheus, both or neither.
        insecure_skip_verify: accept any server certificate.
        timeout_seconds: whole budget of one call: waiting, connecting, asking, reading.
        max_body_bytes: decoded bytes of one answer; answers that are reduced while they are
            read (series) may have `max_series_body_bytes`.
        max_concurrent: calls in flight at once.
        max_waiting: calls that may queue for a place; more are refused at once.
        fail_on_warnings: treat an answer with warnings (a partial one) as a failure.
    """

    url: str
    verb: Verb = "auto"
    headers: tuple[str, ...] = field(default=(), repr=False)
    token_file: str = ""
    username_file: str = ""
    password_file: str = ""
    ca_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    insecure_skip_verify: bool = False
    timeout_seconds: float = 10.0
    max_body_bytes: int = 32 * 1024 * 1024
    max_series_body_bytes: int = 256 * 1024 * 1024
    max_concurrent: int = 20
    max_waiting: int = 1000
    fail_on_warnings: bool = False

    def __post_init__(self) -> None:
        faults = (
            *_url_faults(self.url),
            *_header_faults(self.headers),
            *self._pair_faults(),
            *self._number_faults(),
        )
        if faults:
            raise ConfigError("flags", faults)

    @property
    def header_pairs(self) -> tuple[tuple[str, str], ...]:
        """Headers as (name, value); a header without `=` has an empty value."""
        pairs = (header.partition("=") for header in self.headers)
        return tuple((name, value) for name, _, value in pairs)

    def _pair_faults(self) -> list[Diagnostic]:
        faults = []
        if bool(self.username_file) != bool(self.password_file):
            faults.append(Diagnostic("a username file needs a password file, and the reverse"))
        if self.token_file and self.username_file:
            faults.append(Diagnostic("give a token file or basic authentication, not both"))
        if bool(self.client_cert_file) != bool(self.client_key_file):
            faults.append(Diagnostic("a client certificate needs its key file, and the reverse"))
        if self.insecure_skip_verify and self.ca_file:
            faults.append(Diagnostic("a CA file says nothing when certificates are not verified"))
        if self.verb not in get_args(Verb):
            faults.append(Diagnostic("must be auto, GET or POST", "--prometheus-verb"))
        return faults

    def _number_faults(self) -> list[Diagnostic]:
        positive = {
            "timeout_seconds": self.timeout_seconds,
            "max_body_bytes": self.max_body_bytes,
            "max_series_body_bytes": self.max_series_body_bytes,
            "max_concurrent": self.max_concurrent,
        }
        return [
            Diagnostic("must be greater than 0", name)
            for name, value in positive.items()
            if value <= 0
        ]


def _url_faults(url: str) -> list[Diagnostic]:
    """The URL is never repeated in a fault: it may carry a password."""
    place = "--prometheus-url"
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return [Diagnostic("is not a URL", place)]
    faults = []
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        faults.append(Diagnostic("must be http://host or https://host", place))
    if not port_is_valid or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        faults.append(Diagnostic("has a character or port that a URL cannot have", place))
    if "@" in parts.netloc:
        faults.append(
            Diagnostic("must not hold a user or password; use username and password files", place)
        )
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        faults.append(Diagnostic("must not have a query or fragment", place))
    return faults


def _header_faults(headers: tuple[str, ...]) -> list[Diagnostic]:
    place = "--prometheus-header"
    faults = []
    for header in headers:
        name, _, value = header.partition("=")
        if not _HEADER_NAME.fullmatch(name):
            faults.append(Diagnostic("must be name=value with a valid header name", place))
        elif name.lower() in _FRAMING_HEADERS:
            faults.append(Diagnostic(f"{name} is set by the client itself", place))
        elif re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            faults.append(Diagnostic(f"the value of {name} has a control character", place))
    return faults


@dataclass(frozen=True, slots=True)
class RelistSettings:
    """Seconds between relists, and how far back a series may have been seen last."""

    interval_seconds: float = 600.0
    max_age_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How long one evaluation may be served (0: never again), and the budget of one query."""

    freshness_seconds: float = 5.0
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """Where and how to listen.

    Attributes:
        cert_file, key_file: the serving pair; both empty means a self-made one in `cert_dir`.
        min_version: `VersionTLS12` or `VersionTLS13`.
        cipher_suites: Go names; empty means the AEAD ones.
        drain_seconds: after SIGTERM, how long new requests are still answered.
    """

    bind_address: str
    port: int
    cert_file: str = ""
    key_file: str = ""
    cert_dir: str = ""
    min_version: str = "VersionTLS12"
    cipher_suites: tuple[str, ...] = ()
    drain_seconds: float = 5.0
    max_in_flight: int = 400
    max_connections: int = 1024


@dataclass(frozen=True, slots=True)
class AuthenticationSettings:
    """Who may be believed. Files replace what the cluster's ConfigMap says, each for its part.

    Attributes:
        skip_lookup: do not read the ConfigMap at all.
    """

    client_ca_file: str = ""
    requestheader_ca_file: str = ""
    requestheader_allowed_names: tuple[str, ...] = ()
    requestheader_username_headers: tuple[str, ...] = ("x-remote-user",)
    requestheader_group_headers: tuple[str, ...] = ("x-remote-group",)
    requestheader_extra_prefixes: tuple[str, ...] = ("x-remote-extra-",)
    requestheader_uid_headers: tuple[str, ...] = ()
    skip_lookup: bool = False
    token_ttl_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class AuthorizationSettings:
    """How long decisions are remembered, and what needs none."""

    allowed_ttl_seconds: float = 10.0
    denied_ttl_seconds: float = 10.0
    always_allow_paths: tuple[str, ...] = ("/healthz", "/readyz", "/livez")


@dataclass(frozen=True, slots=True)
class KubeSettings:
    """Kubeconfig files; an empty path means in-cluster credentials."""

    lister_kubeconfig: str = ""
    authentication_kubeconfig: str = ""
    authorization_kubeconfig: str = ""
    discovery_interval_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """The pair and the authority that are kept in a Secret, and published in APIServices.

    Attributes:
        secret_namespace, secret_name: the Secret.
        service_namespace, service_name: the Service that leads to the server; an APIService that
            leads elsewhere is left alone.
        hosts: names of a pair; the first is the one that kube-apiserver asks for.
        api_services: names of APIServices; may be empty.
        key_algorithm: `ECDSA-P256` and so on, as `certs.issue.KeyAlgorithm` names them.
        lifetime_seconds, authority_lifetime_seconds: of a pair and of an authority.
        overlap_seconds: how long an old and a new authority are trusted side by side.
        interval_seconds: between two looks at the Secret.
    """

    secret_namespace: str
    secret_name: str
    service_namespace: str
    service_name: str
    hosts: tuple[str, ...]
    api_services: tuple[str, ...] = ()
    key_algorithm: str = "ECDSA-P256"
    lifetime_seconds: float = 365 * 86400.0
    authority_lifetime_seconds: float = 3650 * 86400.0
    overlap_seconds: float = 600.0
    interval_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Everything `serve` was told.

    Attributes:
        certificates: a pair that the server keeps itself; None where it comes from elsewhere.
        standalone: no kube-apiserver; loopback only.
        write_kubeconfig: where standalone writes a kubeconfig; empty means nowhere.
        prometheus_auth_incluster, prometheus_auth_config: kubeconfig-made credentials for
            Prometheus.
        verbosity: klog-like number.
        log_format: `text` or `json`.
        ignored_flags: flags given that have no meaning here.
    """

    config: str
    prometheus: PrometheusSettings
    serving: ServingSettings
    kube: KubeSettings
    authentication: AuthenticationSettings
    authorization: AuthorizationSettings
    relist: RelistSettings
    evaluation: EvaluationSettings
    certificates: CertificateSettings | None = None
    standalone: bool = False
    write_kubeconfig: str = ""
    prometheus_auth_incluster: bool = False
    prometheus_auth_config: str = ""
    verbosity: int = 0
    log_format: str = "text"
    ignored_flags: tuple[str, ...] = ()
