"""Where a command prints, and in what form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TextIO

import yaml

from metrics_apiserver.certs.inspection import Finding


@dataclass(frozen=True, slots=True)
class Streams:
    """Results go to `out`; what went wrong, and progress beside manifests, to `err`."""

    out: TextIO
    err: TextIO

    def say(self, line: str) -> None:
        """A line of the result, at once."""
        self.out.write(f"{line}\n")
        self.out.flush()

    def remark(self, line: str) -> None:
        """A line that is no result."""
        self.err.write(f"{line}\n")
        self.err.flush()

    def manifests(self, documents: Iterable[dict[str, Any]]) -> None:
        """Objects as YAML documents."""
        yaml.safe_dump_all(documents, self.out, sort_keys=False, explicit_start=True)

    def findings(self, title: str, findings: Iterable[Finding]) -> bool:
        """A block of findings; whether all of them are good."""
        self.say(f"{title}:")
        good = True
        for finding in findings:
            self.say(f"  {finding.about:<10}{'' if finding.good else 'BAD: '}{finding.text}")
            good = good and finding.good
        return good
