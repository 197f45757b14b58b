"""The HTTP side, wired: gate, pages and columns."""

from __future__ import annotations

from dataclasses import dataclass

from metrics_apiserver import __version__
from metrics_apiserver.api import discovery, handler, health, openapi, pages
from metrics_apiserver.api.authn import Authenticator
from metrics_apiserver.api.authz import AllowedPaths, Authorizer, DecisionTTL
from metrics_apiserver.api.counters import ServingMetrics
from metrics_apiserver.api.handler import Handler, TwoStepGate
from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.api.tokens import TokenAuthenticator
from metrics_apiserver.app.environment import Environment
from metrics_apiserver.base import errors
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.options.settings import ServeSettings


def make_allowed_paths(settings: ServeSettings) -> AllowedPaths:
    """The paths that need no permission.

    Raises:
        errors.ConfigError: one of them is no path.
    """
    try:
        return AllowedPaths(settings.authorization.always_allow_paths)
    except ValueError as error:
        fault = Diagnostic(str(error), path="--authorization-always-allow-paths")
        raise errors.ConfigError("command line", (fault,)) from error


def make_gate(
    settings: ServeSettings, environment: Environment, paths: AllowedPaths, metrics: ServingMetrics
) -> TwoStepGate:
    """Authentication and authorisation as the flags say."""
    tokens = None
    if environment.tokens is not None:
        tokens = TokenAuthenticator(
            environment.tokens, ttl_seconds=settings.authentication.token_ttl_seconds
        )
    authorization = settings.authorization
    return TwoStepGate(
        Authenticator(
            environment.authentication,
            tokens,
            wall_clock=wall_clock,
            observe=metrics.count_authentication,
        ),
        Authorizer(
            environment.access,
            paths,
            DecisionTTL(authorization.allowed_ttl_seconds, authorization.denied_ttl_seconds),
        ),
    )


@dataclass(frozen=True, slots=True)
class HTTPAPI:
    """The handler of the Server and the documents that follow the Snapshot."""

    handler: Handler
    discovery: discovery.Discovery
    in_flight: InFlight


def make_api(
    settings: ServeSettings,
    gate: TwoStepGate,
    columns: handler.Columns,
    probes: health.Health,
    metrics: ServingMetrics,
) -> HTTPAPI:
    """Everything between the Server and the providers."""
    checks = [f"/{name}" for name in health.PATHS]
    documents = discovery.Discovery([*checks, *pages.PATHS, "/openapi/v2", "/openapi/v3"])
    in_flight = InFlight(settings.serving.max_in_flight)
    api_handler = Handler(
        gate,
        columns,
        (
            probes,
            documents,
            openapi.OpenAPI(__version__),
            pages.ServerPages(__version__, metrics.render),
        ),
        in_flight=in_flight,
        observe=metrics.observe_request,
    )
    return HTTPAPI(api_handler, documents, in_flight)
