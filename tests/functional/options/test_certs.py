"""Flags that cannot be used, all reported at once; and the settings of those that can."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import flags
from metrics_apiserver.options import certs
from tests.fakes.commands import Terminal


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (("issue",), {"--service"}),
        (("issue", "--service=s.n", "--key-algorithm=DSA", "x"), {"--key-algorithm", "arguments"}),
        (("issue", "--service=s.n", "-o", "yaml"), {"--output"}),
        (("issue", "--service=s.n", "-o", "json"), {"--output"}),
        (
            ("issue", "--service=s.n", "--secret=x", "--apiservices=y"),
            {"--secret", "--apiservices"},
        ),
        (("issue", "--service=s.n", "--apiservices=y"), {"--apiservices"}),
        (("publish",), {"--secret", "--service"}),
        (
            ("publish", "--secret=n/s", "--service=s.n", "--rotate=all", "-o", "json"),
            {"--rotate", "--output"},
        ),
        (
            ("publish", "--secret=n/s", "--service=s.n", "--rotate=pair", "--directory=x"),
            {"--rotate"},
        ),
        (("publish", "--secret=n/s", "--service=s.n", "-o", "yaml"), {"--output"}),
        (
            ("publish", "--secret=n/s", "--service=s.n", "--interval=1h", "x"),
            {"--interval", "arguments"},
        ),
        (("inspect",), {"arguments"}),
        (("inspect", "--connect=host"), {"--connect"}),
        (("inspect", "--connect=:443"), {"--connect"}),
        (("inspect", "--connect=h:99999"), {"--connect"}),
        (
            ("inspect", "--service=x", "--secret=y", "--apiservices=z"),
            {"--service", "--secret", "--apiservices"},
        ),
    ],
)
def test_refused(words: tuple[str, ...], places: set[str]) -> None:
    ran = Terminal().run(*words)
    assert ran.code == 2
    assert {line.split(": ")[1] for line in ran.err.splitlines()} == places


@pytest.mark.parametrize("command", certs.TABLES)
def test_names_are_unique(command: str) -> None:
    names = [flag.name for flag in certs.TABLES[command]]
    assert len(names) == len(set(names))


def test_settings_of_a_command_are_those_of_its_flags() -> None:
    parsed = flags.parse(certs.ISSUE, ["--service=s.n", "--host=a,b", "-o", "files", "--new-ca"])
    made = certs.issue(parsed)
    assert made.pair.hosts[0] == "s.n.svc"
    assert (made.hosts, made.output, made.new_ca, made.dry_run) == (
        ("a", "b"),
        "files",
        True,
        False,
    )
    parsed = flags.parse(certs.PUBLISH, ["--secret=n/s", "--service=s.n", "--wait=false"])
    publish = certs.publish(parsed)
    assert publish.certificates.interval_seconds == 10.0
    assert not publish.wait
    parsed = flags.parse(certs.INSPECT, ["tls.crt", "--connect=h:443"])
    inspect = certs.inspect(parsed)
    assert (inspect.connect, inspect.host, inspect.output) == ("h:443", "", "text")
