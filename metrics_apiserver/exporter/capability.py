"""Which call a GPU and its driver answer, so that one that never will is not asked each second.

NOT_SUPPORTED, FUNCTION_NOT_FOUND and NO_PERMISSION switch a call off for ten minutes; a driver that
was reloaded or a GPU that changed its MIG mode starts anew. Failures are logged when they begin
and when they end, not each tick.
"""

from __future__ import annotations

import logging

from metrics_apiserver.exporter.nvml.library import Code, Failure
from metrics_apiserver.exporter.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_OFF = (Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.NO_PERMISSION)
_PROBE_AGAIN_SECONDS = 600.0


class Capabilities:
    """By (UUID, call); forgotten on every enumeration of the devices."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._off_until: dict[tuple[str, str], float] = {}
        self._failing: dict[tuple[str, str], int] = {}
        self._known: dict[str, dict[str, bool]] = {}

    def clear(self) -> None:
        """Every call may be tried again."""
        self._off_until.clear()
        self._failing.clear()
        self._known.clear()

    def allows(self, uuid: str, call: str, now: float) -> bool:
        """Whether the call is worth making."""
        return self._off_until.get((uuid, call), 0.0) <= now

    def worked(self, uuid: str, call: str) -> None:
        """The call gave an answer."""
        self._known.setdefault(uuid, {})[feature(call)] = True
        if self._failing and self._failing.pop((uuid, call), None) is not None:
            _logger.info("call works again", extra={"uuid": uuid, "call": call})

    def failed(self, uuid: str, failure: Failure, now: float, call: str = "") -> None:
        """The call gave none; `call` where it is known by another name than the failure's."""
        call = call or failure.call
        self._telemetry.nvml_errors.labels(failure.call, str(int(failure.code))).inc()
        if failure.code in _OFF:
            self._off_until[uuid, call] = now + _PROBE_AGAIN_SECONDS
            self._known.setdefault(uuid, {})[feature(call)] = False
        if self._failing.get((uuid, call)) != failure.code:
            self._failing[uuid, call] = failure.code
            level = logging.DEBUG if failure.code in _OFF else logging.WARNING
            _logger.log(level, "call failed", extra={"uuid": uuid, "error": str(failure)})

    def of(self, uuid: str) -> dict[str, bool]:
        """Feature -> whether it is there, of what was tried."""
        return dict(self._known.get(uuid, {}))


def feature(call: str) -> str:
    """A call's name without what all have in common."""
    return call.removeprefix("nvmlDeviceGet").removeprefix("nvmlDevice").removeprefix("nvml")
