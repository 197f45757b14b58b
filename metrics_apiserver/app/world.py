"""What the server knows of its surroundings, in the same shape with and without a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.certs import files
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.kube.reviews import AccessReviewer, TokenReviewer
from metrics_apiserver.prometheus.credentials import Credentials
from metrics_apiserver.provider.listing import ObjectLister

Check = Callable[[], str | None]


@dataclass(slots=True)
class World:
    """Surroundings.

    Attributes:
        mapper: the resources there are; None while unknown.
        ask_mapper: asks for a new look at them soon.
        objects: names and labels of objects.
        authentication: whose certificates and headers are believed now.
        tokens, access: reviewers; None where there is no cluster to ask.
        loops: by name; each runs for ever.
        checks: readiness checks by name; None or the reason why not.
        prometheus: credentials for Prometheus that come from a kubeconfig.
        where: the serving pair, where the surroundings bring one.
        close: ends connections.
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
    prometheus: Credentials | None = None
    where: files.PairFiles | None = None
