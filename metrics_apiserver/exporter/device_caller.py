"""Asks NVML about one GPU so that each value fails alone.

A call that the GPU or its driver lacks is not repeated for a while; what concerns the whole device
or library is raised. `is_broken` tells of the container that lost its device nodes: nothing but
unknown errors in a round.
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

# Not about one value: the sampler reacts to these.
RAISED = (
    Code.UNINITIALIZED,
    Code.GPU_IS_LOST,
    Code.RESET_REQUIRED,
    Code.LIB_RM_VERSION_MISMATCH,
)
_BROKEN = (Code.OPERATING_SYSTEM, Code.UNKNOWN)


@dataclass(frozen=True, slots=True)
class NVMLContext:
    """What every device of this initialisation shares.

    Attributes:
        alive: tells whether a pid exists, where pids are the host's.
    """

    library: Library
    capabilities: Capabilities
    telemetry: ExporterTelemetry
    settings: Sampling
    alive: Callable[[int], bool] | None = None


class DeviceCaller:
    """The questions to one GPU.

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
        """A round begins."""
        self.now = now
        self._worked = self._broke = False

    @property
    def is_settled(self) -> bool:
        """Utilisation right after the initialisation, which wakes GPUs, is not believed."""
        return self.now >= self._settled_at

    @property
    def is_broken(self) -> bool:
        """This round brought unknown errors and not one answer."""
        return self._broke and not self._worked

    def allows(self, call: str) -> bool:
        """Whether the call is worth making now."""
        return self.context.capabilities.allows(self.uuid, call, self.now)

    def attempt(self, call: str, function: Callable[[], T], quiet: Sequence[int] = ()) -> T | None:
        """What the function gives, or None: it failed, now or lately.

        Args:
            call: the name under which the GPU's ability is remembered.
            function: asks.
            quiet: codes that are an answer, and no error.

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
        """The call gave an answer."""
        self._worked = True
        self.context.capabilities.record_success(self.uuid, call)

    def record_error(self, call: str, error: NVMLError) -> None:
        """The call gave none."""
        self._broke |= error.code in _BROKEN
        self.context.capabilities.record_error(self.uuid, error, self.now, call)

    def count_dropped(self, key: str) -> None:
        """Counts a value that cannot be true."""
        self.context.telemetry.dropped_values.labels(key).inc()
