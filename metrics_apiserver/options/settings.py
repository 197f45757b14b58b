"""The settings of `serve`, frozen, with the flags that fill them: nothing here opens a file.

To add a flag, add a field to the class that it belongs to: the command line, --help, the tables of
docs/configuration.md and the names in error messages follow. Fields that may hold a secret stay out
of `repr`. What single values must be is their flag's `check`; what fields contradict each other is
the class's `validate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metrics_apiserver.base import checks as common
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag, group
from metrics_apiserver.certs import ciphers
from metrics_apiserver.options import checks
from metrics_apiserver.options.authentication import AuthenticationSettings, AuthorizationSettings
from metrics_apiserver.options.certificates import API_SERVICES, SECRET, CertificateSettings
from metrics_apiserver.options.prometheus import (
    EvaluationSettings,
    PrometheusSettings,
    RelistSettings,
)


@dataclass(frozen=True, slots=True)
class KubeSettings(SettingsGroup):
    """Kubeconfig files; an empty path means in-cluster credentials."""

    lister_kubeconfig: str = flag(
        "lister-kubeconfig", "", "kubeconfig to list objects with; empty: in-cluster"
    )
    authentication_kubeconfig: str = flag(
        "authentication-kubeconfig",
        "",
        "kubeconfig to review tokens and read the authentication ConfigMap with; empty: in-cluster",
    )
    authorization_kubeconfig: str = flag(
        "authorization-kubeconfig", "", "kubeconfig to review access with; empty: in-cluster"
    )
    discovery_interval_seconds: float = flag(
        "discovery-interval",
        600.0,
        "interval at which the cluster's resources are read",
        check=common.positive,
    )


@dataclass(frozen=True, slots=True)
class ServingSettings(SettingsGroup):
    """Where and how to listen.

    Attributes:
        cert_file, key_file: the serving pair; both empty means a self-signed one in `cert_dir`.
        min_version: `VersionTLS12` or `VersionTLS13`.
        cipher_suites: Go names; empty means the AEAD ones.
        drain_seconds: after SIGTERM, how long new requests are still answered.
    """

    bind_address: str = flag(
        "bind-address",
        "0.0.0.0",  # noqa: S104 - as a pod must
        "address to listen on",
        check=checks.address,
    )
    port: int = flag(
        "secure-port",
        443,
        "port to serve HTTPS on",
        check=common.between(1, 65535, "must be between 1 and 65535"),
    )
    cert_file: str = flag("tls-cert-file", "", "serving certificate, read again when it changes")
    key_file: str = flag("tls-private-key-file", "", "its private key")
    cert_dir: str = flag(
        "cert-dir",
        "apiserver.local.config/certificates",
        "where a self-signed pair is kept when no pair is given",
    )
    min_version: str = flag(
        "tls-min-version",
        "VersionTLS12",
        "VersionTLS12 or VersionTLS13",
        check=common.accepted_by(ciphers.minimum_version),
    )
    cipher_suites: tuple[str, ...] = flag(
        "tls-cipher-suites",
        [],
        "suites by their Go names; empty: the AEAD ones",
        check=common.accepted_by(ciphers.openssl_list),
    )
    drain_seconds: float = flag(
        "shutdown-drain",
        5.0,
        "after SIGTERM, how long new requests are still answered",
        check=common.not_negative,
    )
    max_in_flight: int = flag(
        "max-requests-inflight", 400, "reads answered at once; above, 429", check=common.positive
    )
    max_connections: int = flag(
        "max-connections", 1024, "connections open at once", check=common.positive
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """A certificate and its key come together."""
        if bool(self.cert_file) != bool(self.key_file):
            yield "cert_file", "needs {key_file}, and the reverse"


@dataclass(frozen=True, slots=True)
class KeptCertificates(CertificateSettings):
    """Certificates that the server keeps itself, where a Secret is named."""

    secret: str = filled_by(
        replace(
            SECRET,
            help="NAMESPACE/NAME of a Secret in which the server keeps a certificate and CA of"
            " its own",
        )
    )
    api_services: tuple[str, ...] = filled_by(
        replace(
            API_SERVICES,
            help="APIServices whose caBundle the server keeps, such as"
            " v1beta1.custom.metrics.k8s.io",
        )
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """Without a Secret nothing is kept, and nothing may be asked for."""
        if self.secret:
            yield from CertificateSettings.validate(self)
        elif self.service or self.api_services:
            yield "secret", "is needed by {service} and {api_services}"


@dataclass(frozen=True, slots=True)
class ServeSettings(SettingsGroup):
    """Everything that the command line of `serve` says.

    Attributes:
        certificates: kept by the server itself where `certificates.secret` names a Secret.
        standalone: no kube-apiserver; loopback only.
        write_kubeconfig: where standalone writes a kubeconfig; empty means nowhere.
        verbosity: klog-like number.
        log_format: `text` or `json`.
        ignored_flags: flags given that have no meaning here.
    """

    config: str = flag("config", "", "rule file; required", group="Rules and relist")
    relist: RelistSettings = group(RelistSettings, "Rules and relist")
    prometheus: PrometheusSettings = group(PrometheusSettings, "Prometheus")
    evaluation: EvaluationSettings = group(EvaluationSettings, "Rules and relist")
    kube: KubeSettings = group(KubeSettings, "Kubernetes")
    authentication: AuthenticationSettings = group(
        AuthenticationSettings, "Authentication and authorization"
    )
    authorization: AuthorizationSettings = group(
        AuthorizationSettings, "Authentication and authorization"
    )
    serving: ServingSettings = group(ServingSettings, "Serving")
    certificates: CertificateSettings = group(KeptCertificates, "Certificates", prefix="cert-")
    standalone: bool = flag(
        "standalone",
        False,
        "no kube-apiserver: loopback only, own CA, objects are what the series name",
        group="Standalone",
    )
    write_kubeconfig: str = flag(
        "write-kubeconfig",
        "",
        "with --standalone, write a kubeconfig for kubectl here",
        group="Standalone",
    )
    verbosity: int = flag(
        "v",
        0,
        "verbosity: 0 notable events, 4 each upstream failure, 6 each query",
        group="Logging",
        shorthand="v",
    )
    log_format: str = flag(
        "logging-format", "text", "text or json", group="Logging", choices=("text", "json")
    )
    ignored_flags: tuple[str, ...] = ()

    def validate(self) -> Iterator[tuple[str, str]]:
        """What is required, what belongs to standalone, and what cannot be with it."""
        if not self.config:
            yield "config", "no rule file: give {config}=FILE"
        if self.standalone and not checks.is_loopback(self.serving.bind_address):
            yield "standalone", "serves on loopback only: give {serving.bind_address}=127.0.0.1"
        if self.write_kubeconfig and not self.standalone:
            yield "write_kubeconfig", "has a meaning only with {standalone}"
        if self.certificates.secret and (self.serving.cert_file or self.standalone):
            yield (
                "certificates.secret",
                "cannot be used together with {serving.cert_file} or {standalone}",
            )
