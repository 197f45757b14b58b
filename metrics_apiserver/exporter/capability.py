"""Which calls a GPU and its driver support, so that unsupported ones are not repeated every round.

NOT_SUPPORTED, FUNCTION_NOT_FOUND and NO_PERMISSION disable a call for ten minutes; a driver reload
or a changed MIG mode resets that. Errors are logged when they begin and when they end, not every
round.
"""

from __future__ import annotations

import logging

from metrics_apiserver.exporter.nvml.library import Code, NVMLError
from metrics_apiserver.exporter.telemetry import ExporterTelemetry

_logger = logging.getLogger(__name__)

_OFF = (Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.NO_PERMISSION)
_PROBE_AGAIN_SECONDS = 600.0


class Capabilities:
    """By (UUID, call); cleared whenever the devices are enumerated."""

    def __init__(self, telemetry: ExporterTelemetry) -> None:
        self._telemetry = telemetry
        self._off_until: dict[tuple[str, str], float] = {}
        self._failing: dict[tuple[str, str], int] = {}
        self._known: dict[str, dict[str, bool]] = {}

    def clear(self) -> None:
        """Allows every call again."""
        self._off_until.clear()
        self._failing.clear()
        self._known.clear()

    def allows(self, uuid: str, call: str, now: float) -> bool:
        """Whether the call is worth making."""
        return self._off_until.get((uuid, call), 0.0) <= now

    def record_success(self, uuid: str, call: str) -> None:
        """The call succeeded."""
        self._known.setdefault(uuid, {})[feature(call)] = True
        if self._failing and self._failing.pop((uuid, call), None) is not None:
            _logger.info("call works again", extra={"uuid": uuid, "call": call})

    def record_error(self, uuid: str, error: NVMLError, now: float, call: str = "") -> None:
        """The call failed; `call` if it is recorded under another name than the error's."""
        call = call or error.call
        self._telemetry.nvml_errors.labels(error.call, str(int(error.code))).inc()
        if error.code in _OFF:
            self._off_until[uuid, call] = now + _PROBE_AGAIN_SECONDS
            self._known.setdefault(uuid, {})[feature(call)] = False
        if self._failing.get((uuid, call)) != error.code:
            self._failing[uuid, call] = error.code
            level = logging.DEBUG if error.code in _OFF else logging.WARNING
            _logger.log(level, "call failed", extra={"uuid": uuid, "error": str(error)})

    def of(self, uuid: str) -> dict[str, bool]:
        """Feature -> whether it is supported, for the calls made so far."""
        return dict(self._known.get(uuid, {}))


def feature(call: str) -> str:
    """The name of a call without the common prefix."""
    return call.removeprefix("nvmlDeviceGet").removeprefix("nvmlDevice").removeprefix("nvml")
