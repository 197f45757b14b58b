"""Typed fields out of YAML nodes, as yaml.v2's strict decoding fills Go structs.

A text field takes any scalar as it is written (`as: 1` is the text 1), null is the zero value, a
boolean is one of yaml.v2's words and unquoted. Refused, each with its path and line: unknown keys
(with the nearest known one), lists and mappings in the place of text and the reverse. Nothing is
raised: errors gather in a Report so that all of them can be shown at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from metrics_apiserver.base.diagnostics import Diagnostic, Kind
from metrics_apiserver.core import diagnostics
from metrics_apiserver.core.rules.querycheck import Dialect
from metrics_apiserver.core.rules.yamlload import Entry, Mapping, Node, Scalar, Sequence

MAX_REPORTED: Final = 100
MAX_MESSAGE: Final = 500
_TRUE: Final = frozenset(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"))
_FALSE: Final = frozenset(
    ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
)


@dataclass(slots=True)
class Report:
    """What is wrong with a document, and what is only odd.

    Attributes:
        errors, warnings: the first of each, at most MAX_TOLD; a file of 1 MiB can hold more than
            anybody would read or a log should take.
        error_count, warning_count: how many there were.
        file_errors, rule_errors: errors that spoil the whole file, and those that spoil a rule.
        dialect: what queries are held to.
    """

    errors: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    error_count: int = 0
    warning_count: int = 0
    file_errors: int = 0
    rule_errors: int = 0
    dialect: Dialect = "backend"

    def add(self, diagnostic: Diagnostic) -> None:
        """Keeps an error or a warning, by its severity."""
        if diagnostic.severity == "error":
            self.error_count += 1
            spoils = diagnostics.CATALOGUE[diagnostic.code].spoils
            self.file_errors += spoils == "file"
            self.rule_errors += spoils == "rule"
            kept = self.errors
        else:
            self.warning_count += 1
            kept = self.warnings
        if len(kept) < MAX_REPORTED:
            kept.append(_shortened(diagnostic))


class Before:
    """How many errors there were before a rule was read.

    Args:
        report: takes the errors of the rule.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._rule_errors = report.rule_errors
        self._kept = len(report.errors)

    def fault(self, path: str, line: int) -> Diagnostic | None:
        """The first error since then that spoils the rule at this place; None without any."""
        report = self._report
        if report.rule_errors == self._rule_errors:
            return None
        for error in report.errors[self._kept :]:
            if diagnostics.CATALOGUE[error.code].spoils == "rule":
                return error
        message = f"has an error; only the first {MAX_REPORTED} of the file are listed"
        return diagnostics.MORE_ERRORS.at(message, path, line)


def _shortened(diagnostic: Diagnostic) -> Diagnostic:
    """Messages quote the document, and a pattern or query in it can be as long as the file."""
    if len(diagnostic.message) <= MAX_MESSAGE:
        return diagnostic
    return replace(diagnostic, message=f"{diagnostic.message[:MAX_MESSAGE]}...")


def section(node: Node, path: str, known: Collection[str], report: Report) -> Section:
    """A mapping with known keys; null is the empty one, anything else an error."""
    opened = entries(node, path, report)
    for entry in opened:
        if entry.key not in known:
            # Looking for the nearest is slow, so it is not done for keys beyond the limit.
            nearest = _nearest(entry.key, known) if len(report.errors) < MAX_REPORTED else ""
            message = f"unknown key {entry.key}{nearest}"
            report.add(diagnostics.UNKNOWN_KEY.at(message, path, entry.line))
    return Section(path, node.line, {entry.key: entry for entry in opened}, report)


def entries(node: Node, path: str, report: Report) -> tuple[Entry, ...]:
    """The keys and values of a mapping whose keys are free."""
    if isinstance(node, Mapping):
        return node.entries
    if not _is_null(node):
        message = "must be a mapping of keys to values"
        report.add(diagnostics.WRONG_TYPE.at(message, path, node.line))
    return ()


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.null


def _nearest(key: str, known: Collection[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), by_lower, n=1, cutoff=0.5)
    return f": did you mean {by_lower[close[0]]}?" if close else f": known are {', '.join(known)}"


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping that is being read.

    Attributes:
        path: such as `rules[2].name`; empty for the document.
        line: where it begins.
    """

    path: str
    line: int
    _entries: dict[str, Entry]
    report: Report

    def at(self, key: str) -> str:
        """The path of one of its keys."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether the key is there with something other than null."""
        return key in self._entries and not _is_null(self._entries[key].value)

    def node(self, key: str) -> Node:
        """The value; a null where there is none."""
        entry = self._entries.get(key)
        return entry.value if entry else Scalar("", self.line, plain=True)

    def text(self, key: str) -> Scalar:
        """A text field, empty when it is absent or null."""
        node = self.node(key)
        if isinstance(node, Scalar) and not node.null:
            return node
        if not isinstance(node, Scalar):
            self.add(
                diagnostics.WRONG_TYPE, key, "must be text, not a list or a mapping", node.line
            )
        return Scalar("", node.line)

    def flag(self, key: str, default: bool) -> bool:
        """A boolean field."""
        node = self.node(key)
        if _is_null(node):
            return default
        if isinstance(node, Scalar) and node.plain and node.value in _TRUE | _FALSE:
            return node.value in _TRUE
        self.add(diagnostics.WRONG_TYPE, key, "must be true or false", node.line)
        return default

    def choice(self, key: str, options: Collection[str], default: str) -> str:
        """A text field that is one of a few words."""
        given = self.text(key)
        if given.value in options:
            return given.value
        if given.value:
            message = f"must be one of {', '.join(options)}"
            self.add(diagnostics.UNKNOWN_VALUE, key, message, given.line)
        return default

    def section(self, key: str, known: Collection[str]) -> Section:
        """A mapping under a key."""
        return section(self.node(key), self.at(key), known, self.report)

    def items(self, key: str) -> Iterator[tuple[str, Node]]:
        """The items of a list under a key, each with its path."""
        node = self.node(key)
        if isinstance(node, Sequence):
            yield from ((f"{self.at(key)}[{i}]", item) for i, item in enumerate(node.items))
        elif not _is_null(node):
            self.add(diagnostics.WRONG_TYPE, key, "must be a list", node.line)

    def add(self, kind: Kind, key: str, message: str, line: int) -> None:
        """Reports a diagnostic of one of its keys."""
        self.report.add(kind.at(message, self.at(key), line))
