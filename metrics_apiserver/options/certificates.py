"""Flags into CertificateSettings: the same for `serve` (`--cert-secret`) and `certs` (`--secret`).

Names are judged by the forms that Kubernetes gives them, lengths of time by what a rotation needs:
two overlaps must fit well into the third of a certificate's life in which it is renewed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.certs import source
from metrics_apiserver.certs.issue import KeyAlgorithm
from metrics_apiserver.options.settings import CertificateSettings

SERVE_NAMES = {
    "secret": "cert-secret",
    "service": "cert-service",
    "apiservices": "cert-apiservices",
    "cluster-domain": "cert-cluster-domain",
    "key-algorithm": "cert-key-algorithm",
    "lifetime": "cert-lifetime",
    "ca-lifetime": "cert-ca-lifetime",
    "overlap": "cert-overlap",
    "interval": "cert-interval",
}

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SECRET = re.compile(rf"{_LABEL}/{_SUBDOMAIN}")
_SERVICE = re.compile(rf"{_LABEL}\.{_LABEL}(\.svc)?")
_API_SERVICE = re.compile(rf"v[0-9][a-z0-9]*\.{_SUBDOMAIN}")
_DOMAIN = re.compile(rf"({_SUBDOMAIN})?")
_SHORTEST_INTERVAL_SECONDS = 0.05

_Check = tuple[bool, str, str]


class CertificateFlags:
    """The values of one command.

    Args:
        values: of all flags, by name.
        names: how the command calls the flags; `SERVE_NAMES`, or nothing where it adds no prefix.
    """

    def __init__(self, values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> None:
        self._values = values
        self._names = names or {name: name for name in SERVE_NAMES}

    def _value(self, name: str) -> Any:
        return self._values[self._names[name]]

    def _flag(self, name: str) -> str:
        return f"--{self._names[name]}"

    def _faults(self, checks: Iterable[_Check]) -> list[Diagnostic]:
        return [Diagnostic(text, path=self._flag(name)) for good, name, text in checks if not good]

    def faults(self) -> list[Diagnostic]:
        """What cannot be used."""
        return [*self.issuing_faults(), *self.publishing_faults(), *self._pace_faults()]

    def issuing_faults(self) -> list[Diagnostic]:
        """What cannot be used of what a pair is like."""
        algorithms = [one.value for one in KeyAlgorithm]
        lifetime = self._value("lifetime")
        return self._faults(
            (
                (_fits(_SERVICE, self._value("service")), "service", "must be NAME.NAMESPACE"),
                (
                    _fits(_DOMAIN, self._value("cluster-domain")),
                    "cluster-domain",
                    "must be a DNS domain, or empty",
                ),
                (
                    self._value("key-algorithm") in algorithms,
                    "key-algorithm",
                    f"must be one of {', '.join(algorithms)}",
                ),
                (lifetime > 0, "lifetime", "must be greater than 0"),
                (
                    self._value("ca-lifetime") >= 2 * lifetime,
                    "ca-lifetime",
                    f"must be at least twice {self._flag('lifetime')}",
                ),
            )
        )

    def publishing_faults(self) -> list[Diagnostic]:
        """What cannot be used of what is written."""
        secret = (_fits(_SECRET, self._value("secret")), "secret", "must be NAMESPACE/NAME")
        return self._faults(
            (
                secret,
                *(
                    (_fits(_API_SERVICE, name), "apiservices", f"{name!r} must be VERSION.GROUP")
                    for name in self._value("apiservices")
                ),
            )
        )

    def _pace_faults(self) -> list[Diagnostic]:
        lifetime, overlap = self._value("lifetime"), self._value("overlap")
        interval = self._value("interval")
        shortest = _SHORTEST_INTERVAL_SECONDS
        return self._faults(
            (
                (
                    overlap <= lifetime / 6,
                    "overlap",
                    f"must be at most a sixth of {self._flag('lifetime')}",
                ),
                (interval >= shortest, "interval", f"must be at least {shortest * 1000:g}ms"),
                (
                    interval <= overlap / 4,
                    "interval",
                    f"must be at most a quarter of {self._flag('overlap')}",
                ),
            )
        )

    def service(self) -> tuple[str, str]:
        """Namespace and name of the Service; the flag was judged before."""
        name, namespace = self._value("service").removesuffix(".svc").split(".")
        return namespace, name

    def hosts(self) -> tuple[str, ...]:
        """The names of a pair; the flags were judged before."""
        namespace, name = self.service()
        return source.hosts_of(name, namespace, self._value("cluster-domain"))

    def settings(self) -> CertificateSettings:
        """What the flags say; they were judged before."""
        namespace, _, name = self._value("secret").partition("/")
        service_namespace, service_name = self.service()
        return CertificateSettings(
            secret_namespace=namespace,
            secret_name=name,
            service_namespace=service_namespace,
            service_name=service_name,
            hosts=self.hosts(),
            api_services=tuple(dict.fromkeys(self._value("apiservices"))),
            key_algorithm=self._value("key-algorithm"),
            lifetime_seconds=self._value("lifetime"),
            authority_lifetime_seconds=self._value("ca-lifetime"),
            overlap_seconds=self._value("overlap"),
            interval_seconds=self._value("interval"),
        )


def _fits(form: re.Pattern[str], text: str) -> bool:
    return form.fullmatch(text) is not None
