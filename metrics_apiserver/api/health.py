"""`/healthz`, `/livez`, `/readyz` and their named checks, in the words of apiserver's healthz.go.

A check is a callable that gives None or the reason why not; the reason goes to the log and to the
check's own path, never into the list that everybody may read. Nothing here asks a backend: a probe
answers from what the process knows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metrics_apiserver.api.encoding import TEXT, Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo

Check = Callable[[], str | None]

PATHS = ("healthz", "livez", "readyz")
_NOSNIFF = (("X-Content-Type-Options", "nosniff"),)
_logger = logging.getLogger(__name__)

STALLED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the probes ask of the process.

    Attributes:
        is_stopping: a signal to stop has come.
        loop_ticked: monotonic time of the event loop's last turn.
        relisted: whether the metrics that the rules offer were looked for in the known cluster.
        relist_overdue: whether the relist loop has stopped turning.
    """

    is_stopping: Callable[[], bool]
    loop_ticked: Callable[[], float]
    relisted: Callable[[], bool]
    relist_overdue: Callable[[], bool]

    def liveness(self) -> dict[str, Check]:
        """Checks that the loops turn."""
        return {
            "ping": lambda: None,
            "event-loop": self._check_event_loop,
            "relist": lambda: "the relist loop does not turn" if self.relist_overdue() else None,
        }

    def readiness(self) -> dict[str, Check]:
        """Checks of what the process has done so far."""
        return {
            "first-relist": lambda: None if self.relisted() else "no relist was done yet",
            "shutdown": lambda: "the process is shutting down" if self.is_stopping() else None,
        }

    def _check_event_loop(self) -> str | None:
        late = time.monotonic() - self.loop_ticked()
        return None if late < STALLED_SECONDS else f"the event loop is {late:.0f} s late"


def make_health(state: ProcessState, environment: Mapping[str, Check]) -> Health:
    """Liveness checks that the loops turn, readiness also what is known; neither asks a backend.

    Args:
        state: of the process.
        environment: readiness checks of what the server stands on, by name.
    """
    alive = state.liveness()
    ready = {**alive, **environment, **state.readiness()}
    return Health({"healthz": alive, "livez": alive, "readyz": ready})


class Health:
    """The three groups of checks.

    Args:
        checks: for each of `healthz`, `livez` and `readyz`, its checks by name.
    """

    def __init__(self, checks: Mapping[str, Mapping[str, Check]]) -> None:
        self._checks = checks

    def __call__(self, info: RequestInfo, _headers: Mapping[str, str]) -> Encoded | None:
        """The answer to a health path; None for every other path."""
        if not info.parts or info.parts[0] not in PATHS:
            return None
        group = info.parts[0]
        checks = self._checks[group]
        if len(info.parts) == 1 and not info.path.endswith("/"):
            return _all(group, checks, info)
        name = "/".join(info.parts[1:])
        if name not in checks or info.path.endswith("/"):
            raise errors.NotFound()
        reason = checks[name]()
        if reason is None:
            return Encoded(b"ok", TEXT, 200, _NOSNIFF)
        return Encoded(f"internal server error: {reason}\n".encode(), TEXT, 500, _NOSNIFF)


def _all(group: str, checks: Mapping[str, Check], info: RequestInfo) -> Encoded:
    excluded = {info.query["exclude"]} if "exclude" in info.query else set()
    excluded.update(info.repeated.get("exclude", ()))
    lines: list[str] = []
    failed: list[str] = []
    for name, check in checks.items():
        if name in excluded:
            excluded.discard(name)
            lines.append(f"[+]{name} excluded: ok")
            continue
        reason = check()
        if reason is None:
            lines.append(f"[+]{name} ok")
        else:
            failed.append(f"{name}: {reason}")
            lines.append(f"[-]{name} failed: reason withheld")
    if excluded:
        names = ", ".join(f'"{name}"' for name in sorted(excluded))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
    if failed:
        _logger.info("health check failed", extra={"group": group, "failed": "; ".join(failed)})
        body = "\n".join([*lines, f"{group} check failed", ""])
        return Encoded(body.encode(), TEXT, 500, _NOSNIFF)
    if "verbose" in info.query:
        body = "\n".join([*lines, f"{group} check passed", ""])
        return Encoded(body.encode(), TEXT, 200, _NOSNIFF)
    return Encoded(b"ok", TEXT, 200, _NOSNIFF)
