"""The self-metrics of the HTTP side: answers, authentications, refusals and open connections.

Children of labelled metrics are looked up once, not at each request. Refusals are counted where
they happen, by plain integers, and brought to the counters by `count_refusals` now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metrics_apiserver.api import authn
from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.api.server import Server
from metrics_apiserver.base.telemetry import Telemetry


class ServingMetrics:
    """Counts for the handler, the authenticator and the server.

    Args:
        telemetry: takes what is counted.
        watched: number of objects held, by resource.
    """

    def __init__(self, telemetry: Telemetry, watched: Callable[[], Mapping[str, int]]) -> None:
        self._telemetry = telemetry
        self._watched = watched
        self._counters: dict[tuple[str, int], Callable[[], None]] = {}
        self._timers: dict[str, Callable[[float], None]] = {}
        # From the start, so that a rate knows the time before the first of a method.
        self._methods = {name: telemetry.authentications.labels(name).inc for name in authn.METHODS}

    def observe_request(self, group: str, code: int, seconds: float) -> None:
        """Counts one answer."""
        count = self._counters.get((group, code))
        if count is None:
            count = self._telemetry.requests.labels(group, str(code)).inc
            self._counters[group, code] = count
        timer = self._timers.get(group)
        if timer is None:
            timer = self._telemetry.request_seconds.labels(group).observe
            self._timers[group] = timer
        count()
        timer(seconds)

    def count_authentication(self, method: authn.Method) -> None:
        """Counts how one caller was identified."""
        self._methods[method]()

    def export_gauges(self, server: Server, in_flight: InFlight) -> None:
        """Has the gauges read at each scrape."""
        telemetry = self._telemetry
        telemetry.in_flight.set_function(lambda: in_flight.current)
        telemetry.connections.set_function(lambda: len(server.connections))

    def count_refusals(self, server: Server, in_flight: InFlight) -> None:
        """Raises the counters to what the server and the in-flight limit have counted."""
        telemetry = self._telemetry
        counted: Mapping[str, int] = {
            "handshake": server.handshakes_failed,
            "malformed": server.requests_malformed,
            "evicted": server.connections_evicted,
            "overload": in_flight.refused,
        }
        for reason, total in counted.items():
            child = telemetry.rejected.labels(reason)
            child.inc(max(0.0, total - child._value.get()))  # noqa: SLF001 - has no public reader

    def render(self) -> bytes:
        """The self-metrics, with what is counted only when somebody reads it."""
        telemetry = self._telemetry
        # Anew each time: a kind that nobody reads any more is not watched any more.
        telemetry.watched_objects.clear()
        for resource, number in self._watched().items():
            telemetry.watched_objects.labels(resource).set(number)
        return telemetry.render()
