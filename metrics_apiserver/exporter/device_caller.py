"""NVML calls about one GPU, such that each value fails on its own.

A call that the GPU or its driver does not support is not repeated for a while; an error that
concerns the whole device or library is raised. `is_broken` detects a container that lost its device
nodes: a round with unknown errors only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from metrics_apiserver.exporter.capability import Capabilities
from metrics_apiserver.exporter.nvml.library import Code, Library, NVMLError
from metrics_apiserver.exporter.settings import Sampling
from metrics_apiserver.exporter.telemetry import ExporterTelemetry

T = TypeVar("T")

# These concern more than one value; the sampler handles them.
RAISED = (
    Code.UNINITIALIZED,
    Code.GPU_IS_LOST,
    Code.RESET_REQUIRED,
    Code.LIB_RM_VERSION_MISMATCH,
)
_BROKEN = (Code.OPERATING_SYSTEM, Code.UNKNOWN)


@dataclass(frozen=True, slots=True)
class NVMLContext:
    """What all devices of one initialisation share.

    Attributes:
        alive: whether a pid exists; None if pids are not those of the host.
    """

    library: Library
    capabilities: Capabilities
    telemetry: ExporterTelemetry
    settings: Sampling
    alive: Callable[[int], bool] | None = None


class DeviceCaller:
    """Makes the calls about one GPU.

    Attributes:
        now: monotonic seconds of this round.
    """

    def __init__(self, context: NVMLContext, uuid: str, now: float) -> None:
        self.context = context
        self.library = context.library
        self.uuid = uuid
        self.now = now
        self._settled_at = now + context.settings.settle_seconds
        self._worked = self._broke = False

    def begin_round(self, now: float) -> None:
        """Starts a sampling round."""
        self.now = now
        self._worked = self._broke = False

    @property
    def is_settled(self) -> bool:
        """False shortly after initialisation, which wakes GPUs and distorts utilisation."""
        return self.now >= self._settled_at

    @property
    def is_broken(self) -> bool:
        """This round had unknown errors and no successful call."""
        return self._broke and not self._worked

    def allows(self, call: str) -> bool:
        """Whether the call is worth making now."""
        return self.context.capabilities.allows(self.uuid, call, self.now)

    def attempt(self, call: str, function: Callable[[], T], quiet: Sequence[int] = ()) -> T | None:
        """The result of `function`, or None if it fails or failed recently.

        Args:
            call: name under which the capability of the GPU is recorded.
            function: makes the call.
            quiet: return codes that are a valid result and no error.

        Raises:
            NVMLError: with a code of `RAISED`.
        """
        if not self.allows(call):
            return None
        try:
            answer = function()
        except NVMLError as error:
            if error.code in RAISED:
                raise
            if error.code in quiet:
                self._worked = True
            else:
                self.record_error(call, error)
            return None
        self.record_success(call)
        return answer

    def record_success(self, call: str) -> None:
        """Records a successful call."""
        self._worked = True
        self.context.capabilities.record_success(self.uuid, call)

    def record_error(self, call: str, error: NVMLError) -> None:
        """Records a failed call."""
        self._broke |= error.code in _BROKEN
        self.context.capabilities.record_error(self.uuid, error, self.now, call)

    def count_dropped(self, key: str) -> None:
        """Counts an invalid value."""
        self.context.telemetry.dropped_values.labels(key).inc()
