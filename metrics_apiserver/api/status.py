"""The only table from error to HTTP code, and the `metav1.Status` bytes that say it.

Any exception becomes one Status: ours by its reason, a bare TimeoutError as 504, everything else
as 500 without its text, because an unexpected exception may hold anything. `details` and the
empty reason follow apimachinery pkg/api/errors: absent, `{}` or filled, as each constructor there
leaves them. Each failure of ours is logged once, here, with what only the log may read.
"""

from __future__ import annotations

import logging
from typing import Any

import orjson

from metrics_apiserver.api.encoding import JSON, Encoded
from metrics_apiserver.base import errors

_logger = logging.getLogger(__name__)

_CODES = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "RequestEntityTooLarge": 413,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}
_UNEXPECTED = "unexpected error"
_NOSNIFF = (("X-Content-Type-Options", "nosniff"),)
_RETRY_AFTER = (("Retry-After", "1"),)


def code_of(error: BaseException) -> int:
    """The HTTP code that answers this exception."""
    if isinstance(error, errors.MetricsError):
        return _CODES.get(error.reason, 500)
    return 504 if isinstance(error, TimeoutError) else 500


def answer(error: BaseException, method: str, target: str) -> Encoded:
    """The one border where an exception becomes an answer: logs it, and gives its Status.

    Args:
        error: whatever was raised.
        method: of the request.
        target: as it came; the query is left out of the log, because it may hold a token.
    """
    log(error, method, target.partition("?")[0])
    return render(error)


def render(error: BaseException) -> Encoded:
    """The whole answer for an exception; never raises."""
    if isinstance(error, errors.MetricsError):
        return failure(code_of(error), error.reason, _message(error), _details(error))
    if isinstance(error, TimeoutError):
        text = "Timeout: request did not complete within the allotted timeout"
        return failure(504, "Timeout", text, {})
    internal = errors.Internal(_UNEXPECTED)
    return failure(500, internal.reason, _message(internal), _details(internal))


def failure(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> Encoded:
    """A Status with `status: Failure`; an empty reason and absent details are left out."""
    document: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message.encode("utf-8", "replace").decode(),
    }
    if reason:
        document["reason"] = reason
    if details is not None:
        document["details"] = details
    document["code"] = code
    headers = _NOSNIFF if code == 403 else _RETRY_AFTER if code == 429 else ()
    return Encoded(orjson.dumps(document), JSON, code, headers)


def log(error: BaseException, verb: str, path: str) -> None:
    """Writes the one log line of a failed request.

    Answers the caller could have avoided are for debugging; failures of ours and of a backend are
    warnings; what nobody foresaw is an error with its traceback.
    """
    code = code_of(error)
    if isinstance(error, errors.MetricsError):
        level = logging.WARNING if code >= 500 else logging.DEBUG
        _logger.log(
            level, "%s %r: %d %r; detail: %r", verb, path, code, error.message, error.detail
        )
    elif code == 504:
        _logger.warning("%s %r: 504, the deadline passed", verb, path)
    else:
        _logger.error("%s %r: unexpected %s", verb, path, type(error).__name__, exc_info=error)


def _message(error: errors.MetricsError) -> str:
    if code_of(error) == 500:
        return f"Internal error occurred: {error.message}"
    return error.message


def _details(error: errors.MetricsError) -> dict[str, Any] | None:
    if code_of(error) == 500:
        return {"causes": [{"message": error.message}]}
    if isinstance(error, errors.MetricNotFound):
        return None
    if isinstance(error, errors.UpstreamTimeout):
        return {}
    if isinstance(error, errors.NotFound | errors.Forbidden):
        return _named(name=error.name, group=error.group, kind=error.kind)
    if isinstance(error, errors.MethodNotAllowed):
        return _named(group=error.group, kind=error.kind)
    return None


def _named(**fields: str) -> dict[str, str]:
    return {key: value for key, value in fields.items() if value}
