"""What the HTTP side counts; tests/unit/app/test_http.py counts whole requests."""

from __future__ import annotations

import pytest

from metrics_apiserver.api import authn
from metrics_apiserver.api.counters import ServingMetrics
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.api.server import Call, Server
from metrics_apiserver.base import errors
from metrics_apiserver.base.telemetry import Telemetry
from tests.fakes import servers


async def test_refusals_and_gauges_of_the_server() -> None:
    telemetry = Telemetry()
    subject = ServingMetrics(telemetry, dict)
    in_flight = InFlight(0, reserve=1)

    async def handler(_call: Call) -> Encoded:
        return Encoded(b"")

    server = Server(handler, servers.server_context)
    subject.export_gauges(server, in_flight)
    with pytest.raises(errors.TooManyRequests), in_flight.place():
        raise AssertionError("there is no place")
    server.handshakes_failed = 3
    server.requests_malformed = 2

    def counted(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(f"metrics_apiserver_{name}", labels)

    for _ in range(2):
        subject.count_refusals(server, in_flight)
        assert counted("rejected_total", reason="handshake") == 3
        assert counted("rejected_total", reason="malformed") == 2
        assert counted("rejected_total", reason="evicted") == 0
        assert counted("rejected_total", reason="overload") == 1
    with in_flight.place(reserved=True):
        assert counted("requests_in_flight") == 1
    assert counted("requests_in_flight") == 0
    assert counted("connections") == 0


def test_requests_and_methods_are_counted() -> None:
    telemetry = Telemetry()
    watched = {"pods": 2}
    subject = ServingMetrics(telemetry, lambda: watched)

    def counted(name: str, **labels: str) -> float | None:
        return telemetry.registry.get_sample_value(f"metrics_apiserver_{name}", labels)

    assert {counted("authentications_total", method=name) for name in authn.METHODS} == {0}
    subject.count_authentication("token")
    assert counted("authentications_total", method="token") == 1
    for seconds in (0.25, 0.5):
        subject.observe_request("other", 200, seconds)
    subject.observe_request("other", 404, 0.25)
    assert counted("requests_total", group="other", code="200") == 2
    assert counted("requests_total", group="other", code="404") == 1
    assert counted("request_duration_seconds_sum", group="other") == 1.0
    assert b'metrics_apiserver_watched_objects{resource="pods"} 2.0' in subject.render()
    del watched["pods"]
    assert b"resource=" not in subject.render()
