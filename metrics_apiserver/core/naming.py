"""From a series name to a metric name: `seriesFilters`, `name.matches` and `name.as`.

Expressions are Go's, compiled by RE2, so that no pattern takes more than linear time; `re` would
also accept constructs that the predecessor refuses. A pattern is searched for, not matched against
the whole name, and `name.matches` filters as well as names. Expansion follows Go's
`Regexp.Expand` to the letter (`$1x` is the group called `1x`). Refused: patterns RE2 refuses, a
filter that is both or neither of `is` and `isNot`, several groups without `as`. Follows the
predecessor's `pkg/naming/metric_namer.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import re2

# A series query that is about one name, at its beginning or as a matcher.
_SERIES_NAME: Final = re.compile(
    r"""\s*(?:([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:[{\[@#]|offset\b|$)"""
    r"""|\{[^}]*?__name__\s*=\s*["']([a-zA-Z_:][a-zA-Z0-9_:]*)["'])"""
)
_MAX_MEMORY: Final = 8 << 20  # bytes that RE2 may use for one expression's automata


@dataclass(frozen=True, slots=True)
class Match:
    """Where a pattern was found.

    Attributes:
        groups: text of the whole match and of each group; None for a group that took no part.
        names: group name to index.
    """

    groups: tuple[str | None, ...]
    names: Mapping[str, int]


class Pattern:
    """A compiled expression; equal to another of the same text.

    Attributes:
        text: as written.
        groups: how many groups it captures.
        names: group name to index.
    """

    __slots__ = ("_compiled", "groups", "names", "text")

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors = False  # RE2 would write to stderr, past the log
        options.max_mem = _MAX_MEMORY
        # Bytes, because the library's way through str costs three times the search itself.
        self._compiled = re2.compile(text.encode(), options)
        self.text = text
        self.groups: int = self._compiled.groups
        self.names: Mapping[str, int] = {
            name.decode(): index for name, index in self._compiled.groupindex.items()
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def matches(self, text: str) -> bool:
        """Whether the text holds a match anywhere."""
        return self._compiled.search(text.encode(errors="surrogatepass")) is not None

    def search(self, text: str) -> Match | None:
        """The leftmost match anywhere in the text."""
        found = self._compiled.search(text.encode(errors="surrogatepass"))
        if found is None:
            return None
        groups = (found.group(), *found.groups())
        return Match(tuple(map(_decode, groups)), self.names)


def _decode(group: bytes | None) -> str | None:
    return None if group is None else group.decode(errors="replace")


def compile_regex(pattern: str) -> Pattern:
    """Compiles a Go regular expression.

    Raises:
        ValueError: RE2 refuses it; the text says why.
    """
    try:
        return Pattern(pattern)
    except UnicodeEncodeError as error:
        raise ValueError("the expression holds a character that is not valid Unicode") from error
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(reason.decode(errors="replace")) from error


def expand(match: Match, template: str) -> str:
    """Fills `$name`, `${name}`, `$1`, `${1}` and `$$`; unknown or unused groups are empty.

    A name without braces is as long as it can be; a `$` that begins none of these stands for
    itself.
    """
    parts: list[str] = []
    while True:
        before, dollar, template = template.partition("$")
        parts.append(before)
        if not dollar:
            return "".join(parts)
        if template.startswith("$"):
            parts.append("$")
            template = template[1:]
            continue
        name, rest = _reference(template)
        if name:
            parts.append(_group(match, name))
            template = rest
        else:
            parts.append("$")


def _reference(text: str) -> tuple[str, str]:
    """The group name that the text begins with and what follows; no name when malformed."""
    start = 1 if text.startswith("{") else 0
    end = start
    while end < len(text) and (text[end].isalpha() or text[end].isdecimal() or text[end] == "_"):
        end += 1
    name = text[start:end]
    if start:
        if not text.startswith("}", end):
            return "", text
        end += 1
    return name, text[end:]


def _group(match: Match, name: str) -> str:
    """A number without leading zeros counts groups; anything else is a name."""
    absent = len(match.groups)
    counts = name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")
    index = int(name) if counts and len(name) <= 9 else match.names.get(name, absent)
    return (match.groups[index] or "") if index < absent else ""


@dataclass(frozen=True, slots=True)
class NameFilter:
    """One of `seriesFilters`: keep the names that hold the pattern, or those that do not."""

    pattern: Pattern
    positive: bool


@dataclass(frozen=True, slots=True)
class MetricNamer:
    """One rule's filters and naming, compiled.

    Attributes:
        filters: all of them must agree.
        matches: None stands for `.*`.
        template: `name.as`, or its default.
    """

    filters: tuple[NameFilter, ...]
    matches: Pattern | None
    template: str

    def metric_name(self, series_name: str) -> str | None:
        """The name in the API; None for series that the rule is not about."""
        found = self._search(series_name) if self._passes(series_name) else None
        return None if found is None else expand(found, self.template)

    def _passes(self, series_name: str) -> bool:
        return all(
            name_filter.pattern.matches(series_name) == name_filter.positive
            for name_filter in self.filters
        )

    def _search(self, series_name: str) -> Match | None:
        if self.matches is None:
            return Match((series_name,), {})
        return self.matches.search(series_name)


def known_metric(namer: MetricNamer, series_query: str) -> str:
    """The only metric name that a rule can give; empty where that takes its series to know.

    Args:
        namer: the rule's filters and naming.
        series_query: as written; it need not be a selector.
    """
    if "$" not in namer.template:
        return namer.template
    found = _SERIES_NAME.match(series_query)
    if found is None:
        return ""
    return namer.metric_name(found[1] or found[2]) or ""


def default_template(matches: Pattern | None) -> str:
    """`name.as` where the rule has none: the whole match, or the only group.

    Raises:
        ValueError: more than one group.
    """
    groups = matches.groups if matches else 0
    if groups > 1:
        raise ValueError(
            f"the expression has {groups} groups: say in name.as which of them make the name"
        )
    return f"${groups}"
