"""Command-line flags as Go's pflag reads them: what a flag is, and how words are read.

`--name=value`, `--name value`, `--bool`, `--bool=false`, `-v 4`, `-v=4`; underscores count as
dashes; a list flag may be repeated or hold commas. Everything that cannot be read is reported at
once; an unknown flag with the nearest known one. Flags that are accepted for drop-in use are read
and checked for form like the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.base import kinds
from metrics_apiserver.base.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: everything that parsing, --help, the documentation and the settings need of it.

    `read` turns the text of one occurrence into a value and `validate` checks a value, so that
    another command-line library can take the declarations as they are: an option per flag, its
    occurrences handed to `read`, the outcome kept in a `Parsed`.

    Attributes:
        name: without dashes in front.
        kind: `string`, `bool`, `int`, `float`, `duration`, `seconds` (a duration, or a bare
            number of seconds), `strings` (commas and repeats) or `stringArray` (repeats only).
        default: value when the flag is absent, of the kind's Python type; durations in seconds.
        help: one sentence, shown by --help and in the documentation.
        group: heading under which help and documentation show it.
        ignored: accepted for drop-in use without a meaning here.
        shorthand: its one-letter form; empty for none.
        choices: the values there are, beside the default; empty for any. Members of a list.
        placeholder: what help shows for the value, such as `HOST:PORT`; empty for the kind.
        environment: variable that replaces the default where it is set.
        check: what is wrong with a value, in a sentence each.
        convert: makes of the value what the settings hold; ValueError says why it cannot.
    """

    name: str
    kind: str
    default: Any
    help: str
    group: str = ""
    ignored: bool = False
    shorthand: str = ""
    choices: tuple[str, ...] = ()
    placeholder: str = ""
    environment: str = ""
    check: Callable[[Any], Iterable[str]] | None = None
    convert: Callable[[Any], Any] | None = None

    @property
    def is_list(self) -> bool:
        """Whether each occurrence adds to the value."""
        return self.kind in kinds.LISTS

    def initial(self, environment: Mapping[str, str]) -> Any:
        """The value when the flag is absent.

        Raises:
            ValueError: the environment's text is no value of the kind.
        """
        if self.environment in environment:
            return self.read(environment[self.environment])
        return list(self.default) if self.is_list else self.default

    def read(self, text: str) -> Any:
        """The value that one occurrence gives.

        Raises:
            ValueError: the text is no value of the kind.
        """
        return kinds.READERS[self.kind](text)

    def validate(self, value: Any) -> list[str]:
        """What is wrong with a value of the kind."""
        wrong = [
            f"{member!r} is not {self._known}"
            if self.is_list
            else f"must be {self._known}, not {member!r}"
            for member in (value if self.is_list else [value])
            if self.choices and member not in self.choices and value != self.default
        ]
        return [*wrong, *(self.check(value) if self.check is not None else ())]

    @property
    def _known(self) -> str:
        *others, last = self.choices
        if self.is_list:
            return f"one of {', '.join(self.choices)}"
        return f"{', '.join(others)} or {last}" if others else last


@dataclass(slots=True)
class Parsed:
    """Outcome of a parse.

    Attributes:
        values: every flag's value by name, defaults included.
        given: names that stood on the command line, in order.
        positional: what was no flag.
        positions: of those, counted among the words from 1.
        diagnostics: what could not be read.
    """

    values: dict[str, Any]
    given: list[str] = field(default_factory=list)
    positional: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


class _Scanner:
    def __init__(self, table: Iterable[Flag], environment: Mapping[str, str]) -> None:
        self.flags = {flag.name: flag for flag in table}
        self.shorthands = {
            flag.shorthand: flag.name for flag in self.flags.values() if flag.shorthand
        }
        self.parsed = Parsed({})
        for flag in self.flags.values():
            try:
                self.parsed.values[flag.name] = flag.initial(environment)
            except ValueError as error:
                self._report(flag.name, f"${flag.environment}: {error}")

    def run(self, arguments: Sequence[str]) -> None:
        rest = list(arguments)
        while rest:
            word = rest.pop(0)
            if word == "--":
                first = len(arguments) - len(rest) + 1
                self.parsed.positional += rest
                self.parsed.positions += range(first, first + len(rest))
                return
            if word.startswith("--"):
                self._long(word[2:], rest)
            elif word.startswith("-") and len(word) > 1:
                self._short(word[1:], rest)
            else:
                self.parsed.positional.append(word)
                self.parsed.positions.append(len(arguments) - len(rest))

    def _short(self, word: str, rest: list[str]) -> None:
        name = self.shorthands.get(word[0])
        if name is None:
            # klog's flags are written with one dash in old manifests: -logtostderr, -v=4.
            self._long(word, rest)
        elif len(word) == 1:
            self._take(name, None, rest)
        else:
            self._take(name, word[1:].removeprefix("="), rest)

    def _long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        self._take(name, value if equals else None, rest)

    def _take(self, name: str, value: str | None, rest: list[str]) -> None:
        self.parsed.given.append(name)
        flag = self.flags.get(name)
        if flag is None:
            near = difflib.get_close_matches(name, self.flags, n=1, cutoff=0.6)
            advice = f"did you mean --{near[0]}?" if near else "see --help"
            self._report(name, f"unknown flag; {advice}")
            return
        if value is None and flag.kind == "bool":
            value = "true"
        if value is None:
            if not rest:
                self._report(name, "needs a value")
                return
            value = rest.pop(0)
        try:
            read = flag.read(value)
        except ValueError as error:
            self._report(name, str(error))
            return
        if flag.is_list and self.parsed.given.count(name) > 1:
            self.parsed.values[name] += read
        else:
            self.parsed.values[name] = read

    def _report(self, name: str, message: str) -> None:
        self.parsed.diagnostics.append(Diagnostic(message, path=f"--{name}"))


def parse(
    table: Iterable[Flag], arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> Parsed:
    """Reads a command line; what cannot be read is among the outcome's diagnostics.

    Args:
        table: the flags there are.
        arguments: words after the command's name.
        environment: variables that replace defaults.
    """
    scanner = _Scanner(table, environment or {})
    scanner.run(arguments)
    return scanner.parsed
