"""The four questions this server asks Prometheus, each answered whole or refused.

Instant queries leave `time` out, so that two clocks never meet. Series are reduced while they
arrive to distinct names and label names. Every call raises UpstreamError or UpstreamTimeout only
and tells `observe` how it ended; no call is cached, shared or repeated here.

Works with Prometheus 2.42 and later and with what answers like it (Thanos, Mimir,
VictoriaMetrics, whose API may stand behind a path prefix such as `/prometheus`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar
from urllib.parse import quote

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import QueryResult, Series
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import decode, failures
from metrics_apiserver.prometheus.credentials import Credentials
from metrics_apiserver.prometheus.transport import Question, Transport

_log = logging.getLogger(__name__)

Observe = Callable[[str, str, float], None]
Answer_co = TypeVar("Answer_co", covariant=True)
Answer = TypeVar("Answer")


class _Reader(Protocol[Answer_co]):
    """What decode's readers have in common; `warnings` counts after `finish`."""

    warnings: tuple[str, ...]

    def feed(self, chunk: bytes) -> None: ...
    def finish(self) -> Answer_co: ...


def _unobserved(endpoint: str, outcome: str, seconds: float) -> None:
    """Stands in where nobody counts calls."""


class PrometheusClient:
    """One Prometheus; used within one event loop.

    Args:
        settings: where it is and what limits hold.
        credentials: from `credentials.from_settings`.
        observe: told (endpoint, outcome, seconds) of each call. Endpoints are `query`, `series`,
            `label_values`, `label_names`; outcomes are `ok`, `partial` (with warnings),
            `timeout`, `cancelled`, or the kind of the UpstreamError.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        credentials: Credentials,
        *,
        observe: Observe = _unobserved,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._transport = Transport(settings, credentials, clock)
        self._observe = observe
        self._clock = clock

    async def query(self, text: str, *, timeout: float | None = None) -> QueryResult:
        """Evaluates PromQL at Prometheus' own now; the warnings are in the result.

        Args:
            text: the expression; foreign text in it must have been quoted.
            timeout: budget in seconds; the settings' one when left out.

        Raises:
            UpstreamError, UpstreamTimeout: there is no usable answer.
        """
        question = Question(
            "/api/v1/query",
            (("query", text),),
            self._budget(timeout),
            self._settings.max_body_bytes,
            evaluates=True,
        )
        return await self._ask("query", question, decode.QueryReader())

    async def series(
        self,
        selector: str,
        *,
        start: float,
        end: float | None = None,
        timeout: float | None = None,
    ) -> set[Series]:
        """Distinct names and label names of the series that match.

        Args:
            selector: a series selector.
            start: seconds since the epoch.
            end: likewise; Prometheus' own now when left out.
            timeout: as for `query`.

        Raises:
            UpstreamError, UpstreamTimeout: there is no whole answer.
        """
        question = Question(
            "/api/v1/series",
            _matching([selector], start, end),
            self._budget(timeout),
            self._settings.max_series_body_bytes,
        )
        reader = decode.SeriesReader()
        found = await self._ask("series", question, reader)
        self._tell_partial(question, reader.warnings)
        return found

    async def label_values(
        self, label: str, match: Sequence[str], *, start: float, timeout: float | None = None
    ) -> list[str]:
        """Values of one label over the series that match; all series if nothing is given.

        Args:
            label: its name.
            match: series selectors, of which one has to fit.
            start: seconds since the epoch.
            timeout: as for `query`.

        Raises:
            UpstreamError, UpstreamTimeout: there is no whole answer.
        """
        question = Question(
            f"/api/v1/label/{quote(label, safe='')}/values",
            _matching(match, start, None),
            self._budget(timeout),
            self._settings.max_body_bytes,
            may_post=False,
        )
        return await self._names("label_values", question)

    async def label_names(
        self, match: Sequence[str], *, start: float, timeout: float | None = None
    ) -> list[str]:
        """Names of the labels, `__name__` among them, on the series that match.

        Args:
            match: as for `label_values`.
            start: seconds since the epoch.
            timeout: as for `query`.

        Raises:
            UpstreamError, UpstreamTimeout: there is no whole answer.
        """
        question = Question(
            "/api/v1/labels",
            _matching(match, start, None),
            self._budget(timeout),
            self._settings.max_body_bytes,
        )
        return await self._names("label_names", question)

    async def close(self) -> None:
        """Closes all connections; the client may not be used afterwards."""
        await self._transport.close()

    def _budget(self, timeout: float | None) -> float:
        return self._settings.timeout_seconds if timeout is None else timeout

    async def _names(self, endpoint: str, question: Question) -> list[str]:
        reader = decode.NamesReader()
        names = await self._ask(endpoint, question, reader)
        self._tell_partial(question, reader.warnings)
        return names

    async def _ask(self, endpoint: str, question: Question, reader: _Reader[Answer]) -> Answer:
        started = self._clock()
        outcome = "cancelled"
        try:
            await self._transport.ask(question, reader.feed)
            answer = reader.finish()
            if reader.warnings and self._settings.fail_on_warnings:
                why = "the answer of Prometheus has warnings and may be partial"
                raise failures.upstream(why, kind="warnings", detail="; ".join(reader.warnings))
            outcome = "partial" if reader.warnings else "ok"
        except (errors.UpstreamError, errors.UpstreamTimeout) as error:
            outcome = error.kind if isinstance(error, errors.UpstreamError) else "timeout"
            error.detail = self._transport.redact(error.detail)[: failures.DETAIL_LIMIT]
            raise
        finally:
            self._observe(endpoint, outcome, self._clock() - started)
        return answer

    def _tell_partial(self, question: Question, warnings: tuple[str, ...]) -> None:
        """Lists have no place for warnings, and a metric that is missing here is a 404 later."""
        if warnings:
            text = self._transport.redact("; ".join(warnings))
            _log.warning(
                "Prometheus warns about %s: %s", question.path, text[: failures.DETAIL_LIMIT]
            )


def _matching(match: Sequence[str], start: float, end: float | None) -> tuple[tuple[str, str], ...]:
    fields = [("match[]", selector) for selector in match]
    fields.append(("start", f"{start:.3f}"))
    if end is not None:
        fields.append(("end", f"{end:.3f}"))
    return tuple(fields)
