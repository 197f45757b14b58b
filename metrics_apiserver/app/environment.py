"""What the server knows of its environment, in the same shape with and without a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.certs import pair_files
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.kube.reviews import AccessReviewer, TokenReviewer
from metrics_apiserver.provider.listing import ObjectLister

Check = Callable[[], str | None]


def _no_conditions() -> Mapping[str, str]:
    return {}


def _nothing_watched() -> Mapping[str, int]:
    return {}


@dataclass(slots=True)
class Environment:
    """Where the server runs: in a cluster, or standalone.

    Attributes:
        mapper: the resources there are; None while unknown.
        ask_mapper: asks for a new discovery soon.
        objects: names and labels of objects.
        authentication: which certificates and headers are trusted now.
        tokens, access: reviewers; None where there is no cluster to ask.
        close: ends connections.
        loops: by name; each runs for ever.
        checks: readiness checks by name; None or the reason why not.
        conditions: what is wrong now, by name; ready or not.
        watched: number of objects held, by resource.
        pair_paths: the serving pair, where the environment brings one.
    """

    mapper: Callable[[], RESTMapper | None]
    ask_mapper: Callable[[], None]
    objects: ObjectLister
    authentication: Callable[[], AuthenticationConfig]
    tokens: TokenReviewer | None
    access: AccessReviewer | None
    close: Callable[[], Awaitable[None]]
    loops: Mapping[str, Loop] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    conditions: Callable[[], Mapping[str, str]] = _no_conditions
    watched: Callable[[], Mapping[str, int]] = _nothing_watched
    pair_paths: pair_files.PairFiles | None = None

    def client_authorities(self) -> bytes:
        """The PEM bundles of all authorities whose clients are trusted now, joined."""
        trusted = self.authentication()
        return trusted.client_ca + b"\n" + trusted.requestheader_ca
