"""Ground truth of what the HPA decided: every write of a scale subresource, from the audit log.

The audit log is written by kube-apiserver before it answers, so a kill of anything, kube-apiserver
included, hides no write that took effect. A write is explained when the true load gives its count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScaleWrite:
    """One accepted write of `spec.replicas`."""

    deployment: str
    replicas: int


class AuditLog:
    """Reads on from where the last read ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def writes(self) -> list[ScaleWrite]:
        """The writes since the log was opened or last read; a line not yet whole waits."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._offset)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return list(parse(whole.splitlines()))


def parse(lines: Iterable[bytes]) -> Iterable[ScaleWrite]:
    """The accepted scale writes of an audit log in JSON lines; half a line is passed over."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut off when kube-apiserver was killed; the next process began a new line
        target = event.get("objectRef", {})
        accepted = event.get("responseStatus", {}).get("code") == 200
        if target.get("subresource") == "scale" and accepted:
            replicas = event["requestObject"]["spec"].get("replicas", 0)
            yield ScaleWrite(target["name"], replicas)


def replicas_for(load: float, target: float) -> int:
    """What the HPA must want of a metric that does not change with the replicas."""
    return math.ceil(load / target)


def unexplained(
    writes: Iterable[ScaleWrite], explained: dict[str, Collection[int]]
) -> list[ScaleWrite]:
    """The writes whose count is not among those that the true load gives their Deployment."""
    return [one for one in writes if one.replicas not in explained.get(one.deployment, ())]
