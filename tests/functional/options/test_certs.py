"""Flags that cannot be, all told at once."""

from __future__ import annotations

import pytest

from metrics_apiserver.options import certs
from tests.fakes.commands import Terminal


@pytest.mark.parametrize(
    ("words", "flags"),
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
def test_refused(words: tuple[str, ...], flags: set[str]) -> None:
    ran = Terminal().run(*words)
    assert ran.code == 2
    assert {line.split(": ")[1] for line in ran.err.splitlines()} == flags


@pytest.mark.parametrize("command", certs.TABLES)
def test_names_are_unique(command: str) -> None:
    names = [flag.name for flag in certs.TABLES[command]]
    assert len(names) == len(set(names))


def test_shorthands_name_flags() -> None:
    names = {flag.name for flag in certs.ISSUE}
    assert set(certs.SHORTHANDS.values()) <= names
