"""The four calls of the Prometheus API that this server makes, each answered whole or refused.

Instant queries leave `time` out, so that the two clocks are never compared. Series are reduced to
distinct names and label names while they arrive. Every call raises only UpstreamError or
UpstreamTimeout and reports its outcome to `observe`; no call is cached, shared or repeated here.
Queries are logged at verbosity 6. A warning of a query (a partial answer of Thanos, say) is logged
when it is new and again after a minute, so that a backend that is partial for hours does not fill
the log.

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
from metrics_apiserver.base.caching import TTLCache
from metrics_apiserver.core.model import QueryResult, Series
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import decode, failures
from metrics_apiserver.prometheus.credentials import PrometheusCredentials
from metrics_apiserver.prometheus.refusals import Refusals
from metrics_apiserver.prometheus.transport import ApiRequest, Transport

_log = logging.getLogger(__name__)
# A logger of its own, because queries are logged at a higher verbosity than the rest.
_queries = logging.getLogger("metrics_apiserver.prometheus.queries")

QUERY_CHARACTERS = 1000  # of a query in the log
WARNING_CHARACTERS = 300
WARNING_SECONDS = 60.0  # until the same warning is logged again
_MAX_WARNINGS = 64

Observe = Callable[[str, str, float], None]
Result_co = TypeVar("Result_co", covariant=True)
Result = TypeVar("Result")


class _ResponseReader(Protocol[Result_co]):
    """What decode's readers have in common; `warnings` counts after `finish`."""

    warnings: tuple[str, ...]

    def feed(self, chunk: bytes) -> None: ...
    def finish(self) -> Result_co: ...


def _unobserved(endpoint: str, outcome: str, seconds: float) -> None:
    """The default: calls are not counted."""


class PrometheusClient:
    """One Prometheus; used within one event loop.

    Args:
        settings: where it is and what limits hold.
        credentials: from `credentials.from_settings`.
        observe: called with (endpoint, outcome, seconds) for each call. Endpoints are `query`,
            `series`, `label_values`, `label_names`; outcomes are `ok`, `partial` (with warnings),
            `timeout`, `cancelled`, or the kind of the UpstreamError.
        clock: seconds that never go back.
        refusals: what this Prometheus refuses, shared with whoever asks for labels.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        credentials: PrometheusCredentials,
        *,
        observe: Observe = _unobserved,
        clock: Callable[[], float] = time.monotonic,
        refusals: Refusals | None = None,
    ) -> None:
        self.refusals = refusals or Refusals(clock=clock)
        self._settings = settings
        self._transport = Transport(settings, credentials, clock, self.refusals)
        self._observe = observe
        self._clock = clock
        self._warned: TTLCache[str, bool] = TTLCache(_MAX_WARNINGS, clock)

    async def query(self, text: str, *, timeout: float | None = None) -> QueryResult:
        """Evaluates PromQL at Prometheus' own now; the warnings are in the result.

        Args:
            text: the expression; foreign text in it must have been quoted.
            timeout: budget in seconds; the settings' one when left out.

        Raises:
            UpstreamError, UpstreamTimeout: there is no usable answer.
        """
        request = ApiRequest(
            "/api/v1/query",
            (("query", text),),
            self._settings.timeout_seconds if timeout is None else timeout,
            self._settings.max_body_bytes,
            evaluates=True,
        )
        started = self._clock()
        result = await self._ask("query", request, decode.QueryReader())
        if _queries.isEnabledFor(logging.DEBUG):
            fields = {"query": text[:QUERY_CHARACTERS], "samples": len(result.samples)}
            seconds = f"{self._clock() - started:.3f}"
            _queries.debug("query", extra=fields | {"seconds": seconds})
        for warning in result.warnings:
            self._log_warning(warning, text)
        return result

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
        request = ApiRequest(
            "/api/v1/series",
            _matching([selector], start, end),
            self._settings.timeout_seconds if timeout is None else timeout,
            self._settings.max_series_body_bytes,
        )
        reader = decode.SeriesReader()
        found = await self._ask("series", request, reader)
        if reader.warnings:
            self._log_partial(request, reader.warnings)
        return found

    async def series_values(self, label: str, selector: str, *, start: float) -> list[str]:
        """As `label_values` for one selector, for backends that refuse that: by /api/v1/series."""
        limits = self._settings.timeout_seconds, self._settings.max_series_body_bytes
        request = ApiRequest("/api/v1/series", _matching([selector], start, None), *limits)
        return await self._names("series", request, decode.SeriesValuesReader(label))

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
        request = ApiRequest(
            f"/api/v1/label/{quote(label, safe='')}/values",
            _matching(match, start, None),
            self._settings.timeout_seconds if timeout is None else timeout,
            self._settings.max_body_bytes,
            may_post=False,
        )
        return await self._names("label_values", request)

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
        request = ApiRequest(
            "/api/v1/labels",
            _matching(match, start, None),
            self._settings.timeout_seconds if timeout is None else timeout,
            self._settings.max_body_bytes,
        )
        return await self._names("label_names", request)

    async def close(self) -> None:
        """Closes all connections; the client may not be used afterwards."""
        await self._transport.close()

    async def _names(
        self, endpoint: str, request: ApiRequest, reader: _ResponseReader[list[str]] | None = None
    ) -> list[str]:
        reader = reader or decode.NamesReader()
        names = await self._ask(endpoint, request, reader)
        if reader.warnings:
            self._log_partial(request, reader.warnings)
        return names

    async def _ask(
        self, endpoint: str, request: ApiRequest, reader: _ResponseReader[Result]
    ) -> Result:
        started = self._clock()
        outcome = "cancelled"
        try:
            await self._transport.ask(request, reader.feed)
            result = reader.finish()
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
        return result

    def _log_warning(self, warning: str, query: str) -> None:
        warning = self._transport.redact(warning)[:WARNING_CHARACTERS]
        if self._warned.get(warning) is None:
            self._warned.put(warning, True, WARNING_SECONDS)
            _log.warning(
                "Prometheus warns: the answer may be partial",
                extra={"warning": warning, "query": query[:QUERY_CHARACTERS]},
            )

    def _log_partial(self, request: ApiRequest, warnings: tuple[str, ...]) -> None:
        """A list cannot carry warnings, and a metric that is missing in it is a 404 later."""
        text = self._transport.redact("; ".join(warnings))
        _log.warning("Prometheus warns about %s: %s", request.path, text[: failures.DETAIL_LIMIT])


def _matching(match: Sequence[str], start: float, end: float | None) -> tuple[tuple[str, str], ...]:
    fields = [("match[]", selector) for selector in match]
    fields.append(("start", f"{start:.3f}"))
    if end is not None:
        fields.append(("end", f"{end:.3f}"))
    return tuple(fields)
