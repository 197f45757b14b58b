"""Fields declare flags; the flags fill the fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from metrics_apiserver.base import checks, flags, settings
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag, group

TIMEOUT = Flag("timeout", "duration", 10.0, "budget", check=checks.positive)


@dataclass(frozen=True, slots=True)
class Upstream(SettingsGroup):
    url: str = flag("url", "http://p", "where it is", secret=True)
    timeout: float = filled_by(TIMEOUT)
    retries: int = flag("retries", 3, "how often", check=checks.not_negative)
    waiting: int = 7

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.retries > self.timeout:
            yield "retries", "must not be more than {timeout}"


@dataclass(frozen=True, slots=True)
class Cache(SettingsGroup):
    sizes: tuple[str, ...] = flag("sizes", ["small"], "sizes", choices=("small", "large"))
    directory: Path | None = flag("directory", None, "where", kind="string", convert=Path)
    budget: float = filled_by(TIMEOUT)


def read_labels(texts: list[str]) -> dict[str, str]:
    labels = {name: value for name, _, value in (text.partition("=") for text in texts)}
    if not all(labels.values()):
        raise ValueError("must be NAME=VALUE")
    return labels


@dataclass(frozen=True, slots=True)
class Everything(SettingsGroup):
    verbose: bool = flag("verbose", False, "say more", group="Logging")
    upstream: Upstream = group(Upstream, "Upstream", prefix="up-")
    cache: Cache = group(Cache, "Cache")
    labels: dict[str, str] = flag("label", [], "labels", kind="stringArray", convert=read_labels)
    seen: tuple[str, ...] = field(default=())

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.verbose and self.upstream.retries:
            yield "verbose", "needs {upstream.retries}=0 and {cache.directory}"


TABLE = settings.table(Everything)


def build(*words: str) -> Everything:
    return settings.build(Everything, flags.parse(TABLE, words))


def diagnostics(*words: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as refused:
        build(*words)
    return [(one.path, one.message) for one in refused.value.diagnostics]


def test_the_table_has_each_flag_once_under_its_heading() -> None:
    assert [(one.name, one.kind, one.group) for one in TABLE] == [
        ("verbose", "bool", "Logging"),
        ("up-url", "string", "Upstream"),
        ("up-timeout", "duration", "Upstream"),
        ("up-retries", "int", "Upstream"),
        ("sizes", "strings", "Cache"),
        ("directory", "string", "Cache"),
        ("timeout", "duration", "Cache"),
        ("label", "stringArray", ""),
    ]
    twice = settings.table(dataclass(frozen=True, slots=True)(Twice))
    assert [one.name for one in twice] == ["timeout"]


class Twice(SettingsGroup):
    first: float = filled_by(TIMEOUT)
    second: float = filled_by(TIMEOUT)


def test_without_flags_the_declared_defaults_hold() -> None:
    assert build() == Everything()
    assert Everything().upstream == Upstream("http://p", 10.0, 3, 7)
    assert Everything().cache == Cache(("small",), None, 10.0)
    assert Everything().labels == {}


def test_flags_fill_their_fields() -> None:
    made = build(
        *("--up-url=http://q", "--up-timeout=1m", "--sizes=large,small", "--directory=/d"),
        *("--timeout=2s", "--label=a=b", "--label=c=d"),
    )
    assert made == Everything(
        upstream=Upstream("http://q", 60.0),
        cache=Cache(("large", "small"), Path("/d"), 2.0),
        labels={"a": "b", "c": "d"},
    )


def test_secrets_stay_out_of_repr() -> None:
    assert "hunter2" not in repr(build("--up-url=http://hunter2"))


def test_everything_that_is_wrong_is_told_in_the_order_of_the_flags() -> None:
    assert diagnostics(
        *("--label=a", "--sizes=huge", "secret-word", "--up-retries=-1"),
        *("--up-timeout=0", "--verbose", "--directory=/d", "ok"),
    ) == [
        ("--label", "must be NAME=VALUE"),
        ("--sizes", "'huge' is not one of small, large"),
        ("--up-retries", "must not be negative"),
        ("--up-timeout", "must be greater than 0"),
        ("--verbose", "needs --up-retries=0 and --directory"),
        ("arguments", "unexpected argument 'sec…' (word 3)"),
        ("arguments", "unexpected argument 'ok' (word 8)"),
    ]


def test_contradictions_name_the_flags() -> None:
    assert diagnostics("--up-retries=20") == [
        ("--up-retries", "must not be more than --up-timeout")
    ]


def test_nothing_is_said_of_flags_together_while_one_cannot_be_read() -> None:
    assert diagnostics("--verbose", "--up-retires=0", "--timeout=0") == [
        ("--up-retires", "unknown flag; did you mean --up-retries?"),
        ("--timeout", "must be greater than 0"),
    ]


def test_a_command_may_take_arguments() -> None:
    parsed = flags.parse(TABLE, ["file"])
    assert settings.build(Everything, parsed, takes_arguments=True) == Everything()


def test_fields_are_known_by_their_flags() -> None:
    found = settings.flags_by_field(Everything)
    assert found["upstream.retries"].name == "up-retries"
    assert found["verbose"].name == "verbose"
    assert "upstream.waiting" not in found


def test_a_declaration_can_be_varied() -> None:
    assert replace(TIMEOUT, default=5.0).check is checks.positive
