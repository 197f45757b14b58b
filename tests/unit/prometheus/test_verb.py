"""GET or POST, and the way back from POST."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.prometheus import failures
from metrics_apiserver.prometheus.failures import PrometheusError
from metrics_apiserver.prometheus.refusals import Refusals
from metrics_apiserver.prometheus.verb import Verb
from tests.fakes.evaluation import FakeClock

LONG = "x" * 2049


class Case:
    def __init__(self, setting: str = "auto") -> None:
        self.clock = FakeClock()
        self.refusals = Refusals(clock=self.clock)
        self.subject = Verb(setting, self.refusals)
        self.by_get: PrometheusError | None = None
        self.gets = 0

    async def get(self) -> PrometheusError | None:
        self.gets += 1
        return self.by_get

    async def settle(self, method: str, status: int = 0, body: bytes = b"") -> str:
        """The message; empty for a good answer."""
        refused = failures.from_response(status, body) if status else None
        found = await self.subject.settle(method, refused, self.get)
        return found.message if found else ""

    def chosen(self, form: str = LONG) -> str:
        return self.subject.choose(form, may_post=True)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
async def test_where_post_is_refused_get_is_used_and_remembered(status: int) -> None:
    case = Case()
    assert case.chosen() == "POST"
    assert await case.settle("POST", status) == ""
    assert (case.gets, case.chosen()) == (1, "GET")
    case.clock.now += 300
    assert (case.chosen(), case.chosen()) == ("POST", "GET")
    assert await case.settle("POST") == ""
    assert case.chosen() == "POST"


@pytest.mark.parametrize("status", [400, 422, 429, 500, 503])
async def test_other_answers_to_post_stay(status: int) -> None:
    case = Case()
    assert str(status) in await case.settle("POST", status)
    assert case.gets == 0


async def test_credentials_are_blamed_only_when_get_is_forbidden_too() -> None:
    case = Case()
    case.by_get = failures.from_response(403, b"")
    assert "forbids the query to our credentials (403)" in await case.settle("POST", 403)
    assert case.chosen() == "POST"


@pytest.mark.parametrize("status", [400, 413, 414, 431])
async def test_a_query_that_fits_neither_way_names_both(status: int) -> None:
    case = Case()
    case.by_get = failures.from_response(status, b"<html>too long</html>")
    message = await case.settle("POST", 405)
    assert f"too long for GET ({status})" in message
    assert "takes no POST" in message


async def test_a_query_too_long_for_get_is_explained_once_post_is_known_to_be_refused() -> None:
    case = Case()
    assert "set --prometheus-verb=POST" in await case.settle("GET", 414)
    await case.settle("POST", 403)
    assert "takes no POST" in await case.settle("GET", 414)
    parse_error = b'{"status":"error","errorType":"bad_data","error":"parse error"}'
    assert "refused the query (400 bad_data)" in await case.settle("GET", 400, parse_error)


async def test_a_timeout_of_get_stays_one() -> None:
    case = Case()
    case.by_get = errors.UpstreamTimeout("late")
    assert await case.settle("POST", 405) == "late"


@pytest.mark.parametrize("status", [403, 405, 501])
async def test_a_verb_that_was_given_is_not_changed(status: int) -> None:
    case = Case("POST")
    message = await case.settle("POST", status)
    assert "--prometheus-verb=auto" in message
    assert str(status) in message
    assert (case.gets, case.chosen("x")) == (0, "POST")
    assert await case.settle("POST") == ""


def test_get_by_flag_or_where_nothing_else_is_taken() -> None:
    assert Case("GET").chosen() == "GET"
    assert Case("POST").subject.choose(LONG, may_post=False) == "GET"
    assert Case().chosen("x" * 2048) == "GET"
