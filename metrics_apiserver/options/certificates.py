"""What a serving pair is like, where it is kept, and who trusts it: for `serve` and for `certs`.

`serve` puts `cert-` before the names of these flags. Names are checked by the forms that Kubernetes
gives them, lengths of time by what a rotation needs: two overlaps must fit well into the third of a
certificate's life in which it is renewed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metrics_apiserver.base import checks
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag
from metrics_apiserver.certs import source
from metrics_apiserver.certs.issue import KeyAlgorithm

DAY = 86400.0
ALGORITHMS = tuple(algorithm.value for algorithm in KeyAlgorithm)

_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SECRET = re.compile(rf"{_LABEL}/{_SUBDOMAIN}")
_SERVICE = re.compile(rf"{_LABEL}\.{_LABEL}(\.svc)?")
_API_SERVICE = re.compile(rf"v[0-9][a-z0-9]*\.{_SUBDOMAIN}")
_DOMAIN = re.compile(_SUBDOMAIN)
_SHORTEST_INTERVAL_SECONDS = 0.05
_MUST_BE_SECRET, _MUST_BE_SERVICE = "must be NAMESPACE/NAME", "must be NAME.NAMESPACE"


def _api_services(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if _API_SERVICE.fullmatch(name) is None:
            yield f"{name!r} must be VERSION.GROUP"


def _interval(seconds: float) -> Iterator[str]:
    if seconds < _SHORTEST_INTERVAL_SECONDS:
        yield f"must be at least {_SHORTEST_INTERVAL_SECONDS * 1000:g}ms"


SECRET = Flag(
    "secret",
    "string",
    "",
    "NAMESPACE/NAME of the Secret",
    "Names",
    check=checks.matches(_SECRET, _MUST_BE_SECRET),
)
SERVICE = Flag(
    "service",
    "string",
    "",
    "NAME.NAMESPACE of the Service that the certificate names",
    "Names",
    check=checks.matches(_SERVICE, _MUST_BE_SERVICE),
)
API_SERVICES = Flag(
    "apiservices",
    "strings",
    [],
    "APIServices, such as v1beta1.custom.metrics.k8s.io",
    "Names",
    check=_api_services,
    convert=lambda names: tuple(dict.fromkeys(names)),
)
INTERVAL = Flag(
    "interval",
    "duration",
    30.0,
    "interval at which Secret and APIServices are read",
    "Rotation",
    check=_interval,
)


@dataclass(frozen=True, slots=True)
class PairSettings(SettingsGroup):
    """What a pair is like.

    Attributes:
        secret: the Secret that holds it; may be empty.
        service: the Service that leads to the server; an APIService that leads elsewhere is left
            alone.
        api_services: names of APIServices; may be empty.
        lifetime_seconds, authority_lifetime_seconds: of a pair and of an authority.
    """

    secret: str = filled_by(SECRET)
    service: str = filled_by(SERVICE)
    api_services: tuple[str, ...] = filled_by(API_SERVICES)
    cluster_domain: str = flag(
        "cluster-domain",
        "cluster.local",
        "DNS domain of the cluster; may be empty",
        group="Names",
        check=checks.matches(_DOMAIN, "must be a DNS domain, or empty"),
    )
    key_algorithm: str = flag(
        "key-algorithm",
        "ECDSA-P256",
        "ECDSA-P256, ECDSA-P384, RSA-2048, RSA-3072 or RSA-4096",
        group="Keys and lifetimes",
        choices=ALGORITHMS,
    )
    lifetime_seconds: float = flag(
        "lifetime",
        365 * DAY,
        "how long a certificate is valid; it is renewed when a third is left",
        group="Keys and lifetimes",
        check=checks.positive,
    )
    authority_lifetime_seconds: float = flag(
        "ca-lifetime",
        3650 * DAY,
        "how long a CA is valid; it is replaced when a third is left",
        group="Keys and lifetimes",
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """Without a Service there is no name; an authority outlives its pairs."""
        if not self.service:
            yield "service", _MUST_BE_SERVICE
        if self.authority_lifetime_seconds < 2 * self.lifetime_seconds:
            yield "authority_lifetime_seconds", "must be at least twice {lifetime_seconds}"

    @property
    def secret_namespace(self) -> str:
        """The Secret's namespace."""
        return self.secret.partition("/")[0]

    @property
    def secret_name(self) -> str:
        """The Secret's name."""
        return self.secret.partition("/")[2]

    @property
    def service_namespace(self) -> str:
        """The Service's namespace."""
        return self.service.removesuffix(".svc").partition(".")[2]

    @property
    def service_name(self) -> str:
        """The Service's name."""
        return self.service.partition(".")[0]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of a pair; the first is the one that kube-apiserver asks for."""
        return source.hosts_of(self.service_name, self.service_namespace, self.cluster_domain)


@dataclass(frozen=True, slots=True)
class CertificateSettings(PairSettings):
    """A pair and an authority that are kept in a Secret, and published in APIServices.

    Attributes:
        overlap_seconds: how long an old and a new authority are trusted side by side.
        interval_seconds: between two reads of the Secret.
    """

    overlap_seconds: float = flag(
        "overlap",
        600.0,
        "how long the old and the new CA are trusted side by side before each next step",
        group="Rotation",
    )
    interval_seconds: float = filled_by(INTERVAL)

    def validate(self) -> Iterator[tuple[str, str]]:
        """What a rotation needs."""
        yield from PairSettings.validate(self)
        if not self.secret:
            yield "secret", _MUST_BE_SECRET
        if self.overlap_seconds > self.lifetime_seconds / 6:
            yield "overlap_seconds", "must be at most a sixth of {lifetime_seconds}"
        if self.interval_seconds > self.overlap_seconds / 4:
            yield "interval_seconds", "must be at most a quarter of {overlap_seconds}"
