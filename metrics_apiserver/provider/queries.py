"""Tells the log what is asked of Prometheus and what it warns of.

Each query is told at verbosity 6, cut to a readable length. A warning (a partial answer of Thanos,
say) is told when it is new and again after a minute, however often it comes: a backend that is
partial for hours must not fill the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from metrics_apiserver.base.caching import TTLCache
from metrics_apiserver.core.model import QueryResult
from metrics_apiserver.provider.evaluation.bulk import Backend

log = logging.getLogger(__name__)

QUERY_CHARACTERS = 1000
WARNING_CHARACTERS = 300
SILENT_SECONDS = 60.0
_MAX_WARNINGS = 64


class ToldBackend:
    """A Backend whose queries are told.

    Args:
        backend: is asked.
        clock: monotonic seconds.
    """

    def __init__(self, backend: Backend, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._clock = clock
        self._told: TTLCache[str, bool] = TTLCache(_MAX_WARNINGS, clock)

    async def query(self, text: str, *, timeout: float) -> QueryResult:
        """As the client's.

        Raises:
            errors.UpstreamError, errors.UpstreamTimeout: Prometheus gave no usable answer.
        """
        started = self._clock()
        result = await self._backend.query(text, timeout=timeout)
        if log.isEnabledFor(logging.DEBUG):
            seconds = f"{self._clock() - started:.3f}"
            log.debug(
                "query",
                extra={"query": text[:QUERY_CHARACTERS], "samples": len(result.samples)}
                | {"seconds": seconds},
            )
        for warning in result.warnings:
            self._report(warning[:WARNING_CHARACTERS], text)
        return result

    def _report(self, warning: str, text: str) -> None:
        if self._told.get(warning) is None:
            self._told.put(warning, True, SILENT_SECONDS)
            log.warning(
                "Prometheus warns: the answer may be partial",
                extra={"warning": warning, "query": text[:QUERY_CHARACTERS]},
            )
