"""The two threads beside HTTP: one samples NVML, the other refreshes the allocations of GPUs.

Both are daemon threads: one that hangs in the driver must not keep the process from exiting. The
sampling interval doubles while a round takes more than half of it, up to ten times its flag.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from metrics_apiserver.exporter.attribution.source import AllocationSource
from metrics_apiserver.exporter.composer import Composer
from metrics_apiserver.exporter.exposition import ExpositionStore
from metrics_apiserver.exporter.sampler import Sampler
from metrics_apiserver.exporter.session import FatalError
from metrics_apiserver.exporter.telemetry import ExporterTelemetry

_logger = logging.getLogger(__name__)

_MAX_FACTOR = 10
_MIN_REFRESH_SECONDS = 1.0
_BEAT_SECONDS = 1.0  # while sleeping: a long interval is not a hang


class SamplingThread(threading.Thread):
    """Samples until it is stopped, or until only a new process can help.

    Args:
        interval_seconds: between two sampling rounds.
        ended: called when the thread ends by itself.
        clock: monotonic seconds.

    Attributes:
        failure: why it ended by itself, else None.
    """

    def __init__(  # noqa: PLR0913 - the thread is where the parts meet
        self,
        sampler: Sampler,
        composer: Composer,
        store: ExpositionStore,
        telemetry: ExporterTelemetry,
        *,
        interval_seconds: float,
        ended: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name="sampler", daemon=True)
        self.failure: str | None = None
        self._sampler = sampler
        self._composer = composer
        self._store = store
        self._telemetry = telemetry
        self._interval = AdaptiveInterval(interval_seconds)
        self._ended = ended
        self._clock = clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Asks the thread to shut NVML down and end."""
        self._stopping.set()

    def run(self) -> None:
        """The loop of the thread."""
        try:
            while not self._stopping.is_set():
                self._sleep(self.run_once())
        except FatalError as fatal:
            self.failure = str(fatal)
        except Exception:
            self.failure = "an internal error"
            _logger.exception("sampling failed")
        finally:
            self._sampler.close(self._clock())
            if not self._stopping.is_set():
                self._ended()

    def _sleep(self, seconds: float) -> None:
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            self._store.heartbeat.beat("sleep")
            if self._stopping.wait(min(left, _BEAT_SECONDS)):
                return

    def run_once(self) -> float:
        """One sampling round; returns the seconds until the next.

        Raises:
            FatalError: only a new process can read the GPUs again.
        """
        started = self._clock()
        self._store.heartbeat.beat("sampling")
        sampled = self._sampler.sample(started)
        self._store.heartbeat.beat("rendering")
        self._store.publish(self._composer.compose(sampled, started))
        took = self._clock() - started
        self._telemetry.sample_duration.observe(took)
        interval = self._interval.after(took)
        self._telemetry.interval.set(interval)
        self._store.expect(interval)
        self._store.heartbeat.beat("sleep")
        return max(0.0, interval - took)


class AdaptiveInterval:
    """The interval between two sampling rounds, longer while rounds are slow."""

    def __init__(self, seconds: float) -> None:
        self._base = seconds
        self._factor = 1.0

    def after(self, took: float) -> float:
        """The interval to use after a round that took this long."""
        if took > self._base * self._factor / 2:
            self._factor = min(2 * self._factor, _MAX_FACTOR)
        elif took < self._base * self._factor / 8:
            self._factor = max(self._factor / 2, 1.0)
        return self._base * self._factor


class AttributionThread(threading.Thread):
    """Refreshes the allocations of GPUs periodically, and earlier when it is woken.

    Args:
        poll_seconds: between two refreshes.
    """

    def __init__(self, source: AllocationSource, poll_seconds: float) -> None:
        super().__init__(name="attribution", daemon=True)
        self._source = source
        self._poll_seconds = poll_seconds
        self._woken = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Asks for an early refresh."""
        self._woken.set()

    def stop(self) -> None:
        """Asks the thread to end; a refresh in progress is not waited for."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """The loop of the thread."""
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self._source.refresh()
            except Exception:
                # One failed refresh must not end all later ones.
                _logger.exception("refreshing GPU allocations failed")
            # The kubelet's rate limit is shared by all its clients.
            self._stopping.wait(_MIN_REFRESH_SECONDS)
            self._woken.wait(max(0.0, self._poll_seconds - _MIN_REFRESH_SECONDS))
