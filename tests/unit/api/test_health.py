"""The texts of apiserver's healthz.go."""

from __future__ import annotations

import logging

import pytest

from metrics_apiserver.api import health, requestinfo
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors


class Environment:
    """Checks whose results can be changed."""

    def __init__(self) -> None:
        self.results: dict[str, str | None] = {"ping": None, "cache-sync": None, "hook/a": None}
        checks = {name: (lambda name=name: self.results[name]) for name in self.results}
        self.subject = health.Health({"healthz": checks, "livez": {}, "readyz": checks})

    def ask(self, target: str, method: str = "GET") -> Encoded:
        answer = self.subject(requestinfo.parse(method, target), {})
        assert answer is not None
        return answer


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_other_paths_are_somebody_elses(environment: Environment) -> None:
    for target in ("/", "/healthzz", "/apis"):
        assert environment.subject(requestinfo.parse("GET", target), {}) is None


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_ok(environment: Environment, path: str, method: str) -> None:
    answer = environment.ask(path, method)
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers == (("X-Content-Type-Options", "nosniff"),)


@pytest.mark.parametrize("verbose", ["verbose", "verbose=", "verbose=1", "verbose=false"])
def test_verbose(environment: Environment, verbose: str) -> None:
    answer = environment.ask(f"/readyz?{verbose}")
    assert answer.body == b"[+]ping ok\n[+]cache-sync ok\n[+]hook/a ok\nreadyz check passed\n"


def test_a_failure_is_always_verbose_and_keeps_its_reason(
    environment: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    environment.results["cache-sync"] = "pods: connection refused"
    with caplog.at_level(logging.INFO):
        answer = environment.ask("/readyz")
    assert answer.status == 500
    assert answer.body == (
        b"[+]ping ok\n[-]cache-sync failed: reason withheld\n[+]hook/a ok\nreadyz check failed\n"
    )
    (record,) = caplog.records
    assert "connection refused" in str(record.__dict__)


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        ("exclude=cache-sync", 200, b"ok"),
        ("exclude=cache-sync&exclude=ping", 200, b"ok"),
        (
            "exclude=cache-sync&exclude=ping&verbose",
            200,
            b"[+]ping excluded: ok\n[+]cache-sync excluded: ok\n[+]hook/a ok\n"
            b"readyz check passed\n",
        ),
        (
            "exclude=nope&exclude=cache-sync&exclude=b&verbose",
            200,
            b"[+]ping ok\n[+]cache-sync excluded: ok\n[+]hook/a ok\n"
            b'warn: some health checks cannot be excluded: no matches for "b", "nope"\n'
            b"readyz check passed\n",
        ),
        (
            "exclude=ping",
            500,
            b"[+]ping excluded: ok\n[-]cache-sync failed: reason withheld\n[+]hook/a ok\n"
            b"readyz check failed\n",
        ),
    ],
)
def test_exclude(environment: Environment, query: str, status: int, body: bytes) -> None:
    environment.results["cache-sync"] = "late"
    answer = environment.ask(f"/readyz?{query}")
    assert (answer.status, answer.body) == (status, body)


def test_single_checks(environment: Environment) -> None:
    assert environment.ask("/readyz/ping").body == b"ok"
    environment.results["hook/a"] = "late"
    answer = environment.ask("/readyz/hook/a")
    assert (answer.status, answer.body) == (500, b"internal server error: late\n")


@pytest.mark.parametrize("path", ["/readyz/", "/readyz/nope", "/readyz/ping/", "/livez/ping"])
def test_no_such_check(environment: Environment, path: str) -> None:
    with pytest.raises(errors.NotFound):
        environment.ask(path)
