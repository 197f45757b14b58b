"""The HTTP side, wired: gate, pages, columns, and what is counted of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metrics_apiserver import __version__
from metrics_apiserver.api import authn, discovery, handler, health, openapi, pages
from metrics_apiserver.api.authn import Authenticator
from metrics_apiserver.api.authz import AllowedPaths, Authorizer, Memory
from metrics_apiserver.api.handler import Handler, TwoStepGate
from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.api.server import Server
from metrics_apiserver.api.tokens import TokenAuthenticator
from metrics_apiserver.app.environment import Check, Environment
from metrics_apiserver.base import errors
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.options.settings import ServeSettings

STALLED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the probes ask of the process.

    Attributes:
        is_stopping: a signal to stop has come.
        loop_ticked: monotonic time of the event loop's last turn.
        relisted: whether the metrics that the rules offer were looked for in the known cluster.
        relist_overdue: whether the relist loop has stopped turning.
    """

    is_stopping: Callable[[], bool]
    loop_ticked: Callable[[], float]
    relisted: Callable[[], bool]
    relist_overdue: Callable[[], bool]


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
    settings: ServeSettings, environment: Environment, paths: AllowedPaths, telemetry: Telemetry
) -> TwoStepGate:
    """Authentication and authorisation as the flags say."""
    tokens = None
    if environment.tokens is not None:
        tokens = TokenAuthenticator(
            environment.tokens, ttl_seconds=settings.authentication.token_ttl_seconds
        )
    known = {name: telemetry.authentications.labels(name).inc for name in authn.METHODS}
    authorization = settings.authorization
    return TwoStepGate(
        Authenticator(
            environment.authentication,
            tokens,
            wall_clock=wall_clock,
            observe=lambda method: known[method](),
        ),
        Authorizer(
            environment.access,
            paths,
            Memory(authorization.allowed_ttl_seconds, authorization.denied_ttl_seconds),
        ),
    )


def make_health(environment: Environment, state: ProcessState) -> health.Health:
    """Liveness watches the loops; readiness what is known; neither asks a backend."""

    def event_loop() -> str | None:
        late = time.monotonic() - state.loop_ticked()
        return None if late < STALLED_SECONDS else f"the event loop is {late:.0f} s late"

    alive: dict[str, Check] = {
        "ping": lambda: None,
        "event-loop": event_loop,
        "relist": lambda: "the relist loop does not turn" if state.relist_overdue() else None,
    }
    ready: dict[str, Check] = {
        **alive,
        **environment.checks,
        "first-relist": lambda: None if state.relisted() else "no relist was done yet",
        "shutdown": lambda: "the process is shutting down" if state.is_stopping() else None,
    }
    return health.Health({"healthz": alive, "livez": alive, "readyz": ready})


@dataclass(frozen=True, slots=True)
class Front:
    """The handler of the Server and the documents that follow the Snapshot."""

    site: Handler
    discovery: discovery.Discovery
    in_flight: InFlight


def make_front(
    settings: ServeSettings,
    environment: Environment,
    gate: TwoStepGate,
    columns: handler.Columns,
    probes: health.Health,
    telemetry: Telemetry,
) -> Front:
    """Everything between the Server and the providers."""
    checks = [f"/{name}" for name in health.PATHS]
    documents = discovery.Discovery([*checks, *pages.PATHS, "/openapi/v2", "/openapi/v3"])
    in_flight = InFlight(settings.serving.max_in_flight)
    site = Handler(
        gate,
        columns,
        (
            probes,
            documents,
            openapi.OpenAPI(__version__),
            pages.Pages(__version__, lambda: render_metrics(environment, telemetry)),
        ),
        in_flight=in_flight,
        observe=_observer(telemetry),
    )
    return Front(site, documents, in_flight)


def _observer(telemetry: Telemetry) -> Callable[[str, int, float], None]:
    """Counts answers; the children are looked up once, not at each request."""
    counters: dict[tuple[str, int], Callable[[], None]] = {}
    timers: dict[str, Callable[[float], None]] = {}

    def observe(group: str, code: int, seconds: float) -> None:
        count = counters.get((group, code))
        if count is None:
            count = counters[group, code] = telemetry.requests.labels(group, str(code)).inc
        timer = timers.get(group)
        if timer is None:
            timer = timers[group] = telemetry.request_seconds.labels(group).observe
        count()
        timer(seconds)

    return observe


def export_gauges(server: Server, in_flight: InFlight, telemetry: Telemetry) -> None:
    """Gauges that are read when they are scraped."""
    telemetry.in_flight.set_function(lambda: in_flight.current)
    telemetry.connections.set_function(lambda: len(server.connections))


def render_metrics(environment: Environment, telemetry: Telemetry) -> bytes:
    """The self-metrics, with what is counted only when somebody reads it."""
    # Anew each time: a kind that nobody reads any more is not watched any more.
    telemetry.watched_objects.clear()
    for resource, number in environment.watched().items():
        telemetry.watched_objects.labels(resource).set(number)
    return telemetry.render()


def count_refusals(server: Server, in_flight: InFlight, telemetry: Telemetry) -> None:
    """Raises the counters of refusals to what the server and the in-flight limit have counted."""
    counted: Mapping[str, int] = {
        "handshake": server.handshakes_failed,
        "malformed": server.requests_malformed,
        "evicted": server.connections_evicted,
        "overload": in_flight.refused,
    }
    for reason, total in counted.items():
        child = telemetry.rejected.labels(reason)
        child.inc(max(0.0, total - child._value.get()))  # noqa: SLF001 - the library reads none back
