"""Settings as dataclasses whose fields declare the flags that fill them: one place for each flag.

A field made by `flag` says everything about its flag; a field made by `group` holds another such
dataclass under a heading. `table` gives the flags for parsing, --help and the documentation;
`build` makes the settings of a parsed command line, and refuses with every Diagnostic at once: what
could not be read, what a flag's own check refuses, and what `validate` says of fields together.
Diagnostics name the flag, never the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Flag, Parsed

_FLAG, _GROUP = "flag", "group"
_FIELD = re.compile(r"\{([a-z_.]+)\}")
_KINDS = {bool: "bool", int: "int", float: "duration", str: "string", list: "strings"}
_SHOWN_CHARACTERS = 3


class SettingsGroup:
    """Base of settings whose fields depend on each other."""

    __slots__ = ()

    def validate(self) -> Iterator[tuple[str, str]]:
        """Field and message of each contradiction between fields.

        `{field}` in a message becomes that field's flag; `group.field` names one of a group.
        """
        return iter(())


Made = TypeVar("Made", bound=SettingsGroup)


@dataclass(frozen=True, slots=True)
class _Group:
    settings: type[SettingsGroup]
    heading: str
    prefix: str


def flag(name: str, default: Any, text: str, *, secret: bool = False, **more: Any) -> Any:
    """A field that a flag fills.

    Args:
        name: the flag's name, without dashes in front.
        default: its value when it is absent.
        text: its line in --help and in the documentation.
        secret: keep the field out of `repr`.
        more: further attributes of `Flag`, such as `check`; without `kind` it is the one of the
            default's type, a list's `strings` and a float's `duration`.
    """
    kind = more.pop("kind", "") or _KINDS[type(default)]
    return filled_by(Flag(name, kind, default, text, **more), secret=secret)


def filled_by(declared: Flag, *, secret: bool = False) -> Any:
    """A field that a flag declared elsewhere fills: two fields may share one flag."""
    return field(
        default_factory=lambda: _convert(declared, declared.default),
        repr=not secret,
        metadata={_FLAG: declared},
    )


def group(settings: type[SettingsGroup], heading: str = "", prefix: str = "") -> Any:
    """A field that holds the settings of a group of flags.

    Args:
        settings: the group's dataclass.
        heading: of its flags, instead of those that they declare.
        prefix: put before the names of its flags.
    """
    return field(default_factory=settings, metadata={_GROUP: _Group(settings, heading, prefix)})


def table(settings: type[SettingsGroup]) -> tuple[Flag, ...]:
    """The flags of settings, groups included, each once."""
    found: dict[str, Flag] = {}
    for declared in flags_by_field(settings).values():
        found.setdefault(declared.name, declared)
    return tuple(found.values())


def flags_by_field(settings: type[SettingsGroup]) -> dict[str, Flag]:
    """The flags of settings by the fields that they fill; those of a group as `group.field`."""
    found: dict[str, Flag] = {}
    for one, declared in _declared(settings, _Group(settings, "", "")):
        if isinstance(declared, Flag):
            found[one.name] = declared
        else:
            inner = flags_by_field(declared.settings)
            found |= {f"{one.name}.{name}": _within(declared, flag) for name, flag in inner.items()}
    return found


def build(settings: type[Made], parsed: Parsed, *, takes_arguments: bool = False) -> Made:
    """The settings that a command line means.

    Args:
        settings: their dataclass.
        parsed: the command line.
        takes_arguments: whether words that are no flags have a meaning.

    Raises:
        ConfigError: the command line cannot be used; everything that is wrong is named, in the
            order of the flags that were given.
    """
    diagnostics = [*parsed.diagnostics, *([] if takes_arguments else _unexpected(parsed))]
    for declared in table(settings):
        if declared.name in parsed.values:
            diagnostics += _diagnose(declared, parsed.values[declared.name])
    made = _make(settings, parsed.values, _Group(settings, "", ""))
    if not parsed.diagnostics:
        # A flag that could not be read may be the one that another needs.
        names = {name: f"--{one.name}" for name, one in flags_by_field(settings).items()}
        diagnostics += _contradictions(made, names, "")
    if diagnostics:
        given = [f"--{name}" for name in parsed.given]
        diagnostics.sort(key=lambda one: given.index(one.path) if one.path in given else len(given))
        raise ConfigError("command line", tuple(diagnostics))
    return made


def _within(group: _Group, declared: Flag) -> Flag:
    name = f"{group.prefix}{declared.name}"
    return replace(declared, name=name, group=group.heading or declared.group)


def _declared(
    settings: type[SettingsGroup], group: _Group
) -> Iterator[tuple[Field[Any], Flag | _Group]]:
    """The fields that flags fill, with their flags, and those that hold groups."""
    for one in fields(settings):  # type: ignore[arg-type] # every SettingsGroup is a dataclass
        if _FLAG in one.metadata:
            yield one, _within(group, one.metadata[_FLAG])
        elif _GROUP in one.metadata:
            inner: _Group = one.metadata[_GROUP]
            prefix, heading = f"{group.prefix}{inner.prefix}", group.heading or inner.heading
            yield one, replace(inner, prefix=prefix, heading=heading)


def _make(settings: type[Made], values: Mapping[str, Any], within: _Group) -> Made:
    """The settings; a value that cannot be converted leaves its field's default."""
    filled: dict[str, Any] = {}
    for one, declared in _declared(settings, within):
        if isinstance(declared, _Group):
            filled[one.name] = _make(declared.settings, values, declared)
        elif declared.name in values:
            try:
                filled[one.name] = _convert(declared, values[declared.name])
            except ValueError:
                continue
    return settings(**filled)


def _convert(declared: Flag, value: Any) -> Any:
    if value is None:
        return None
    if declared.convert is not None:
        return declared.convert(value)
    return tuple(value) if declared.is_list else value


def _diagnose(declared: Flag, value: Any) -> Iterator[Diagnostic]:
    place = f"--{declared.name}"
    wrong = declared.validate(value) if value is not None else []
    yield from (Diagnostic(message, path=place) for message in wrong)
    if not wrong:
        try:
            _convert(declared, value)
        except ValueError as error:
            yield Diagnostic(str(error), path=place)


def _contradictions(
    made: SettingsGroup, names: Mapping[str, str], path: str
) -> Iterator[Diagnostic]:
    for name, message in made.validate():
        text = _FIELD.sub(lambda match: names[f"{path}{match[1]}"], message)
        yield Diagnostic(text, path=names[f"{path}{name}"])
    for one in fields(made):  # type: ignore[arg-type] # every SettingsGroup is a dataclass
        if _GROUP in one.metadata:
            yield from _contradictions(getattr(made, one.name), names, f"{path}{one.name}.")


def shorten(word: str) -> str:
    """The beginning of a word that may be a secret."""
    return word if len(word) <= _SHOWN_CHARACTERS else f"{word[:_SHOWN_CHARACTERS]}…"


def _unexpected(parsed: Parsed) -> Iterator[Diagnostic]:
    """A word that is no flag may be a secret that lost its flag: its beginning is shown only."""
    for index, word in enumerate(parsed.positional):
        place = f" (word {parsed.positions[index]})" if parsed.positions else ""
        yield Diagnostic(f"unexpected argument {shorten(word)!r}{place}", path="arguments")
