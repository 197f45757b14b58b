"""From parsed flags to ServeSettings: what belongs together is judged together, all at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from metrics_apiserver.base import errors
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.certs import ciphers
from metrics_apiserver.options.certificates import SERVE_NAMES, CertificateFlags
from metrics_apiserver.options.serve import TABLE
from metrics_apiserver.options.settings import (
    AuthenticationSettings,
    AuthorizationSettings,
    EvaluationSettings,
    KubeSettings,
    PrometheusSettings,
    RelistSettings,
    ServeSettings,
    ServingSettings,
)

Made = TypeVar("Made")

_IGNORED = frozenset(flag.name for flag in TABLE if flag.ignored)
# PrometheusSettings names its attributes where it finds a fault; people know the flags.
_FLAG_OF_ATTRIBUTE = {
    "timeout_seconds": "--prometheus-timeout",
    "max_body_bytes": "--prometheus-max-response-bytes",
    "max_concurrent": "--prometheus-max-concurrent-queries",
}


def build(parsed: Parsed) -> ServeSettings:
    """Settings of `serve`.

    Raises:
        errors.ConfigError: flags that contradict each other or cannot be; all are named.
    """
    values = {**parsed.values, **_standalone_defaults(parsed)}
    certificates = CertificateFlags(values, SERVE_NAMES) if values["cert-secret"] else None
    faults = [*_judge(values), *(certificates.faults() if certificates is not None else ())]
    faults += [
        Diagnostic(f"unexpected argument {word!r}", path="arguments") for word in parsed.positional
    ]
    prometheus = _collect(faults, lambda: _prometheus(values))
    _collect(faults, lambda: ciphers.minimum_version(values["tls-min-version"]))
    _collect(faults, lambda: ciphers.openssl_list(values["tls-cipher-suites"]))
    if faults or prometheus is None:
        raise ConfigError("command line", tuple(faults))
    relist = values["metrics-relist-interval"]
    return ServeSettings(
        config=values["config"],
        prometheus=prometheus,
        serving=_serving(values),
        kube=KubeSettings(
            lister_kubeconfig=values["lister-kubeconfig"],
            authentication_kubeconfig=values["authentication-kubeconfig"],
            authorization_kubeconfig=values["authorization-kubeconfig"],
            discovery_interval_seconds=values["discovery-interval"],
        ),
        authentication=_authentication(values),
        authorization=AuthorizationSettings(
            allowed_ttl_seconds=values["authorization-webhook-cache-authorized-ttl"],
            denied_ttl_seconds=values["authorization-webhook-cache-unauthorized-ttl"],
            always_allow_paths=tuple(values["authorization-always-allow-paths"]),
        ),
        relist=RelistSettings(relist, values["metrics-max-age"] or relist),
        evaluation=EvaluationSettings(values["query-freshness"], values["prometheus-timeout"]),
        certificates=certificates.settings() if certificates is not None else None,
        standalone=values["standalone"],
        write_kubeconfig=values["write-kubeconfig"],
        prometheus_auth_incluster=values["prometheus-auth-incluster"],
        prometheus_auth_config=values["prometheus-auth-config"],
        verbosity=values["v"],
        log_format=values["logging-format"],
        ignored_flags=tuple(dict.fromkeys(name for name in parsed.given if name in _IGNORED)),
    )


def _standalone_defaults(parsed: Parsed) -> dict[str, Any]:
    """What `--standalone` means for flags that were not given."""
    if not parsed.values["standalone"]:
        return {}
    defaults = {
        "bind-address": "127.0.0.1",
        "secure-port": 6443,
        "prometheus-url": "http://127.0.0.1:9090",
        "metrics-relist-interval": 10.0,
        "config": str(Path(__file__).with_name("standalone.yaml")),
    }
    return {name: value for name, value in defaults.items() if name not in parsed.given}


def _collect(faults: list[Diagnostic], make: Callable[[], Made]) -> Made | None:
    """What `make` gives, or None with its faults added to the others."""
    try:
        return make()
    except errors.ConfigError as error:
        faults += [
            replace(fault, path=_FLAG_OF_ATTRIBUTE.get(fault.path, fault.path))
            for fault in error.diagnostics
        ]
        return None


def _judge(values: dict[str, Any]) -> list[Diagnostic]:
    checks = (
        (bool(values["config"]), "config", "no rule file: give --config=FILE"),
        (
            bool(values["tls-cert-file"]) == bool(values["tls-private-key-file"]),
            "tls-cert-file",
            "needs --tls-private-key-file, and the reverse",
        ),
        (
            0 < values["secure-port"] < 65536,
            "secure-port",
            "must be between 1 and 65535",
        ),
        (_is_address(values["bind-address"]), "bind-address", "must be an IP address"),
        (
            not values["standalone"] or _is_loopback(values["bind-address"]),
            "standalone",
            "serves on loopback only: give --bind-address=127.0.0.1",
        ),
        (
            values["standalone"] or not values["write-kubeconfig"],
            "write-kubeconfig",
            "has a meaning only with --standalone",
        ),
        (
            not values["cert-secret"] or not (values["tls-cert-file"] or values["standalone"]),
            "cert-secret",
            "cannot be used together with --tls-cert-file or --standalone",
        ),
        (
            values["cert-secret"] or not (values["cert-service"] or values["cert-apiservices"]),
            "cert-secret",
            "is needed by --cert-service and --cert-apiservices",
        ),
        (
            not values["metrics-max-age"]
            or values["metrics-max-age"] >= values["metrics-relist-interval"],
            "metrics-max-age",
            "must not be less than --metrics-relist-interval",
        ),
        (
            values["metrics-relist-interval"] >= 0.1,
            "metrics-relist-interval",
            "must be at least 100ms",
        ),
        (
            not (values["prometheus-auth-incluster"] and values["prometheus-auth-config"]),
            "prometheus-auth-config",
            "cannot be used together with --prometheus-auth-incluster",
        ),
        (
            values["prometheus-warnings"] in ("serve", "fail"),
            "prometheus-warnings",
            "must be serve or fail",
        ),
        (values["logging-format"] in ("text", "json"), "logging-format", "must be text or json"),
        (
            bool(values["requestheader-username-headers"]),
            "requestheader-username-headers",
            "must name at least one header",
        ),
    )
    faults = [Diagnostic(message, path=f"--{name}") for good, name, message in checks if not good]
    not_negative = (
        "query-freshness shutdown-drain authentication-token-webhook-cache-ttl "
        "authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl "
        "metrics-max-age"
    )
    faults += [
        Diagnostic("must not be negative", path=f"--{name}")
        for name in not_negative.split()
        if values[name] < 0
    ]
    faults += [
        Diagnostic("must be greater than 0", path=f"--{name}")
        for name in ("max-requests-inflight", "max-connections", "discovery-interval")
        if values[name] <= 0
    ]
    return faults


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ipaddress.ip_address(text).is_loopback


def _prometheus(values: dict[str, Any]) -> PrometheusSettings:
    return PrometheusSettings(
        url=values["prometheus-url"],
        verb=values["prometheus-verb"],
        headers=tuple(values["prometheus-header"]),
        token_file=values["prometheus-token-file"],
        username_file=values["prometheus-username-file"],
        password_file=values["prometheus-password-file"],
        ca_file=values["prometheus-ca-file"],
        client_cert_file=values["prometheus-client-tls-cert-file"],
        client_key_file=values["prometheus-client-tls-key-file"],
        timeout_seconds=values["prometheus-timeout"],
        max_body_bytes=values["prometheus-max-response-bytes"],
        max_concurrent=values["prometheus-max-concurrent-queries"],
        fail_on_warnings=values["prometheus-warnings"] == "fail",
    )


def _serving(values: dict[str, Any]) -> ServingSettings:
    return ServingSettings(
        bind_address=values["bind-address"],
        port=values["secure-port"],
        cert_file=values["tls-cert-file"],
        key_file=values["tls-private-key-file"],
        cert_dir=values["cert-dir"],
        min_version=values["tls-min-version"],
        cipher_suites=tuple(values["tls-cipher-suites"]),
        drain_seconds=values["shutdown-drain"],
        max_in_flight=values["max-requests-inflight"],
        max_connections=values["max-connections"],
    )


def _authentication(values: dict[str, Any]) -> AuthenticationSettings:
    return AuthenticationSettings(
        client_ca_file=values["client-ca-file"],
        requestheader_ca_file=values["requestheader-client-ca-file"],
        requestheader_allowed_names=tuple(values["requestheader-allowed-names"]),
        requestheader_username_headers=tuple(values["requestheader-username-headers"]),
        requestheader_group_headers=tuple(values["requestheader-group-headers"]),
        requestheader_extra_prefixes=tuple(values["requestheader-extra-headers-prefix"]),
        requestheader_uid_headers=tuple(values["requestheader-uid-headers"]),
        skip_lookup=values["authentication-skip-lookup"],
        token_ttl_seconds=values["authentication-token-webhook-cache-ttl"],
    )
