"""Words for everything that goes wrong between this server and Prometheus.

A message is what `kubectl describe hpa` shows: it begins as the predecessor's does, says why in a
few words, and never repeats the backend's text, which goes into `detail` for the log. Only
an error type of the Prometheus API, a plain lower-case word, is let through.
"""

from __future__ import annotations

import re

import aiohttp
import orjson

from metrics_apiserver.base import errors

PrometheusError = errors.UpstreamError | errors.UpstreamTimeout

PREFIX = "unable to fetch metrics"
DETAIL_LIMIT = 300
# Kept until echoed secrets are taken out, so that a cut leaves no half of one.
_RAW_DETAIL_LIMIT = 16 * 1024

_ERROR_TYPE = re.compile(r"[a-z0-9_]{1,32}")
_STATUS_MEANING = {
    401: "Prometheus does not accept our credentials (401)",
    403: "Prometheus forbids the query to our credentials (403)",
    404: "Prometheus has no such path (404); check --prometheus-url",
    405: "Prometheus does not take this method (405); set --prometheus-verb",
    413: "Prometheus finds the query too long (413)",
    414: "Prometheus finds the query too long (414); set --prometheus-verb=POST",
    429: "Prometheus has too many queries (429)",
    503: "Prometheus is not ready (503)",
}

# The first class that fits, so the special ones stand before those they derive from.
_BREAKS: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the name of Prometheus does not resolve", "unreachable"),
    (
        aiohttp.ClientConnectorCertificateError,
        "the certificate of Prometheus is not trusted",
        "unreachable",
    ),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake with Prometheus failed", "unreachable"),
    (aiohttp.ClientConnectorError, "no connection to Prometheus", "unreachable"),
    (
        aiohttp.ServerTimeoutError,
        "Prometheus did not accept the connection in time",
        "unreachable",
    ),
    (aiohttp.ClientPayloadError, "the answer of Prometheus broke off", "unreachable"),
    (aiohttp.ClientResponseError, "the answer of Prometheus is not valid HTTP", "protocol"),
    (Exception, "the connection to Prometheus broke", "unreachable"),
)


def upstream(why: str, *, kind: str, status: int = 0, detail: str = "") -> errors.UpstreamError:
    """An error for the caller; the client cuts `detail` to what a log line bears."""
    return errors.UpstreamError(
        f"{PREFIX}: {why}", kind=kind, status=status, detail=detail[:_RAW_DETAIL_LIMIT]
    )


def protocol(why: str, *, detail: str = "") -> errors.UpstreamError:
    """The answer is not what the Prometheus API promises."""
    return upstream(why, kind="protocol", detail=detail)


def timeout(why: str, *, detail: str = "") -> errors.UpstreamTimeout:
    return errors.UpstreamTimeout(f"{PREFIX}: {why}", detail=detail[:_RAW_DETAIL_LIMIT])


def api_error(status: int, error_type: object, text: object) -> PrometheusError:
    """An answer of the API that says `status: error`."""
    word = error_type if isinstance(error_type, str) and _ERROR_TYPE.fullmatch(error_type) else ""
    detail = text if isinstance(text, str) else ""
    if word == "timeout":
        return timeout("Prometheus gave the query up after its time", detail=detail)
    if word == "canceled":
        return upstream("Prometheus cancelled the query", kind="api", status=status, detail=detail)
    if status >= 500:
        meaning = _STATUS_MEANING.get(status, f"Prometheus failed ({status})")
        return upstream(meaning, kind="http", status=status, detail=detail)
    reason = f"{status} {word}" if word and word != str(status) else str(status)
    return upstream(
        f"Prometheus refused the query ({reason})", kind="api", status=status, detail=detail
    )


def from_response(status: int, body: bytes) -> PrometheusError:
    """What an answer other than 200 means.

    Args:
        status: HTTP status.
        body: beginning of the body.
    """
    text = body[:_RAW_DETAIL_LIMIT].decode("utf-8", "replace")
    if 300 <= status < 400:
        why = f"Prometheus answered with a redirect ({status}), which is never followed"
        return upstream(why, kind="http", status=status)
    if status in {400, 422, 500, 503}:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict) and document.get("status") == "error":
            return api_error(status, document.get("errorType"), document.get("error"))
    if meaning := _STATUS_MEANING.get(status):
        return upstream(meaning, kind="http", status=status, detail=text)
    failed = "failed" if status >= 500 else "did not accept the request"
    return upstream(f"Prometheus {failed} ({status})", kind="http", status=status, detail=text)


def post_refused(refused: errors.UpstreamError) -> errors.UpstreamError:
    """A refusal where `--prometheus-verb=POST` allows nothing but POST."""
    why = (
        f"Prometheus refuses the query by POST ({refused.status}); check our credentials, or set "
        "--prometheus-verb=auto if it takes GET only"
    )
    return upstream(why, kind=refused.kind, status=refused.status, detail=refused.detail)


def too_long_without_post(refused: errors.UpstreamError) -> errors.UpstreamError:
    """A long URL was refused by a backend that takes GET only."""
    why = (
        f"the query is too long for GET ({refused.status}), and Prometheus, or a proxy before it, "
        "takes no POST: allow POST there, or shorten the query"
    )
    return upstream(why, kind=refused.kind, status=refused.status, detail=refused.detail)


def from_exception(error: Exception) -> errors.UpstreamError:
    """What a failed connection or a broken answer means; the cause is chained by the caller."""
    why, kind = next((why, kind) for cls, why, kind in _BREAKS if isinstance(error, cls))
    return upstream(why, kind=kind, detail=f"{type(error).__name__}: {error}")
