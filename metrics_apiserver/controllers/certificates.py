"""Self-managed certificates: turns that keep the Secret and the APIServices as they should be.

A turn reads the objects, takes over the pair of the Secret when it may, does the step that
`certs.rotation` says is due, and reads again until none is. Replicas do this side by side without
a leader. What cannot be read or written leaves the pair that is served as it is; the turn comes
again soon. Nothing is decided on a partial read.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from metrics_apiserver.base import errors
from metrics_apiserver.base.backoff import Backoff
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import ca_bundle, rotation, verify
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.observations import Observations
from metrics_apiserver.certs.rotation import Step, Waited
from metrics_apiserver.certs.source import PairSource
from metrics_apiserver.controllers.published import Conflict, PublishedObjects, PublishedState

log = logging.getLogger(__name__)

MAX_READS = 12
CONFLICT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RotationTiming:
    """How fast.

    Attributes:
        overlap_seconds: how long an old and a new authority stand side by side, before the new pair
            is served and again before the old authority goes.
        interval_seconds: between turns; at most a quarter of the overlap.
    """

    overlap_seconds: float
    interval_seconds: float


class CertificateController:
    """Keeps them.

    Args:
        objects: the Secret and the APIServices.
        source: what makes pairs.
        timing: how fast.
        telemetry: takes what is counted.
        take: called with the pair to serve from now on.
        clock: monotonic seconds.

    Attributes:
        problem: why the last turn failed, or what it left alone; empty after a whole one.
        ready: the Secret's pair is served and was trusted once; stays true.
        failed: whether the last turn could not read or write.
        settled: nothing was due or waited for at the last turn.
        forced: a step to take once, when nothing else is due.
        performed: the steps taken so far.
    """

    def __init__(
        self,
        objects: PublishedObjects,
        source: PairSource,
        timing: RotationTiming,
        telemetry: Telemetry,
        *,
        take: Callable[[Pair], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._source = source
        self._timing = timing
        self._telemetry = telemetry
        self._take = take
        self._clock = clock
        self._observations = Observations(longest_gap=timing.overlap_seconds)
        self._backoff = Backoff()
        self._served = b""
        self.problem = ""
        self.ready = False
        self.failed = False
        self.settled = False
        self.forced: Step | None = None
        self.performed: list[Step] = []

    async def run(self) -> None:
        """Turns for ever."""
        while True:
            delay = await self.turn()
            await asyncio.sleep(delay)

    async def turn(self) -> float:
        """Does what is due; seconds to wait before the next turn."""
        try:
            await self._steps()
        except errors.KubeError as error:
            return self._failed(error)
        self.failed = False
        self._backoff.reset()
        self._telemetry.certificate_sync_timestamp.set_to_current_time()
        share = 0.8 + 0.2 * random.random()  # noqa: S311 - keeps replicas apart, guards nothing
        return self._timing.interval_seconds * share

    async def _steps(self) -> None:
        for _ in range(MAX_READS):
            state = await self._objects.read()
            waited = self._see(state)
            step = rotation.decide(state.view, waited, self._source)
            if step is Step.REST and self.forced and state.view.material.upcoming is None:
                step = self.forced
            if step is Step.REST:
                self._tell(state)
                return
            try:
                await self._perform(step, state, waited)
            except Conflict:
                log.debug("another replica was faster", extra={"step": step.value})
                pause = CONFLICT_SECONDS * random.random()  # noqa: S311 - as above
                await asyncio.sleep(pause)

    def _see(self, state: PublishedState) -> Waited:
        now, view = self._clock(), state.view
        self._observations.observe(view, now)
        soon = self._observations.waited(self._timing.overlap_seconds / 4, now).trusted
        serving = view.material.serving
        if (
            serving is not None
            and serving.certificate != self._served
            and rotation.may_take(view, self._served, soon)
        ):
            self._take(serving)
            self._served = serving.certificate
            log.info("serving the pair of the Secret", extra={"secret": str(self._objects.secret)})
        self.ready = self.ready or rotation.is_trusted(view, self._served)
        return self._observations.waited(self._timing.overlap_seconds, now)

    async def _perform(self, step: Step, state: PublishedState, waited: Waited) -> None:
        if step is Step.PUBLISH:
            for name, bundle in rotation.bundles(state.view, waited).items():
                await self._objects.write_api_service(state, name, bundle)
        else:
            # Making a key may take long enough for other requests to notice.
            material = await asyncio.to_thread(rotation.perform, step, state.view, self._source)
            await self._objects.write_secret(state, material)
        if step is self.forced:
            self.forced = None
        self.performed.append(step)
        self._telemetry.certificate_steps.labels(step.value).inc()
        log.info("certificates: %s", step.value, extra={"secret": str(self._objects.secret)})

    def _tell(self, state: PublishedState) -> None:
        view, telemetry = state.view, self._telemetry
        self.settled = rotation.is_settled(view, self._source)
        self.problem = "; ".join(state.left_alone)
        authorities = ca_bundle.authorities(view.material.authorities)
        telemetry.certificate_authorities.set(len(authorities))
        telemetry.certificate_authority_expiry.set(
            authorities[0].not_valid_after_utc.timestamp() if authorities else 0
        )
        telemetry.certificate_distrusting.set(
            sum(
                not one.unverified and not verify.is_trusted(self._served, [one.bundle], view.now)
                for one in view.published
            )
        )

    def _failed(self, error: errors.KubeError) -> float:
        text = f"{error.message} ({error.detail})" if error.detail else error.message
        self.problem = text
        self.failed, self.settled = True, False
        self._telemetry.certificate_failures.inc()
        return max(self._backoff.next(), error.retry_after or 0.0)
