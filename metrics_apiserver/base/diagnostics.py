"""What a person should know about a file, a flag, a rule or the cluster, and what to do about it.

One type for everything that is said: start-up errors, `check`, warnings in the log, the state of
rules. A Diagnostic is data: nothing here is raised or logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
Spoils = Literal["file", "rule", "label"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing wrong with a file, a flag or a rule.

    Attributes:
        message: what is wrong and what to do.
        path: where inside the document, such as `rules[2].resources.overrides.pod`.
        line: 1-based line in the file; 0 when unknown.
        column: 1-based column in the line; 0 when unknown.
        code: stable identifier of the kind, such as `MA101`; empty where the kind has none.
        severity: `error` for what cannot be used, `warning` for what may not work.
        cure: what to do, where `message` does not say it.
    """

    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    code: str = ""
    severity: Severity = "error"
    cure: str = ""

    def render(self, source: str) -> str:
        """One line for a person: `file:line: path: message`."""
        place = f"{source}:{self.line}" if self.line else source
        return ": ".join(part for part in (place, self.path, self.message) if part)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of diagnostic.

    Attributes:
        code: such as `MA101`.
        name: short identifier, such as `unknown-key`.
        severity: of every diagnostic of this kind.
        title: what is wrong, in general.
        cure: what to do about it, in general.
        spoils: of an error, what cannot be used for it: the whole file, the rule, or one label.
    """

    code: str
    name: str
    severity: Severity
    title: str
    cure: str
    spoils: Spoils = "file"

    def at(self, message: str, path: str = "", line: int = 0) -> Diagnostic:
        """One case of it.

        Args:
            message: what is wrong here.
            path: such as `rules[2].name.as`.
            line: 1-based, 0 when unknown.
        """
        return Diagnostic(
            message, path, line, code=self.code, severity=self.severity, cure=self.cure
        )
