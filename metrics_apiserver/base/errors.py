"""Every error that crosses a package boundary, as one tree.

    MetricsError                 reason, said in the words of metav1.Status
    |- BadRequest                400  the caller's selector, path or parameter
    |  `- InvalidSelector             grammar of a label selector
    |- Unauthorized              401  no valid identity
    |- Forbidden                 403  identity without the right
    |- NotFound                  404  no such object or path
    |  `- MetricNotFound              no such metric, or no value for that object
    |- MethodNotAllowed          405
    |- NotAcceptable             406
    |- RequestTooLarge           413
    |- TooManyRequests           429  every slot is taken; the caller may ask again
    |- Internal                  500  an answer that must not be served
    |- AuthorizerFailed          500  the permission could not be decided: refused
    |- Unavailable               503  a backend is down or not ready yet
    |  |- UpstreamError               Prometheus failed; detail is for the log only
    |  `- KubeError                   kube-apiserver failed; detail is for the log only
    `- UpstreamTimeout           504

    ConfigError                  a rule file or flag that cannot be used; carries Diagnostics
    TemplateError                a `<< >>` template that does not parse or render
    QuantityError                text that is no resource.Quantity, or a number that cannot be one

No class carries an HTTP code: `api/status` holds the only table from reason to code. Messages
of MetricsError reach callers (`kubectl describe hpa` shows them), so they never hold a secret or
a backend's own text; that goes into `detail`, which is logged.
"""

from __future__ import annotations

from metrics_apiserver.base.diagnostics import Diagnostic


class MetricsError(Exception):
    """An answer other than 2xx.

    Args:
        message: what the caller reads.
        detail: what only the log reads; empty when there is nothing more to say.
    """

    reason = "InternalError"

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class BadRequest(MetricsError):
    reason = "BadRequest"


class InvalidSelector(BadRequest):
    pass


class Unauthorized(MetricsError):
    reason = "Unauthorized"

    def __init__(self, message: str = "Unauthorized", *, detail: str = "") -> None:
        super().__init__(message, detail=detail)


class Forbidden(MetricsError):
    """Carries what metav1.Status.details names: group, kind and name of the refused object."""

    reason = "Forbidden"

    def __init__(
        self, message: str, *, name: str = "", group: str = "", kind: str = "", detail: str = ""
    ) -> None:
        super().__init__(message, detail=detail)
        self.name = name
        self.group = group
        self.kind = kind


class NotFound(MetricsError):
    """Carries metav1.Status.details where Kubernetes fills them (`nodes "x" not found`)."""

    reason = "NotFound"

    def __init__(
        self,
        message: str = "the server could not find the requested resource",
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message, detail=detail)
        self.name = name
        self.group = group
        self.kind = kind


class MetricNotFound(NotFound):
    """No such metric, or none for that object; begins as the predecessor's message does.

    Args:
        metric: metric name as requested.
        resource: `resource` or `resource.group` as requested; empty for external metrics.
        name: object name for a single-object read.
        why: short reason and advice, appended after a colon.
    """

    def __init__(self, metric: str, resource: str, *, name: str = "", why: str = "") -> None:
        target = f"{resource} {name}" if name else resource
        text = f"the server could not find the metric {metric} for {target}"
        super().__init__(f"{text}: {why}" if why else text)
        self.metric = metric
        self.resource = resource


class MethodNotAllowed(MetricsError):
    reason = "MethodNotAllowed"

    def __init__(
        self,
        message: str = "the server does not allow this method on the requested resource",
        *,
        group: str = "",
        kind: str = "",
    ) -> None:
        super().__init__(message)
        self.group = group
        self.kind = kind


class NotAcceptable(MetricsError):
    reason = "NotAcceptable"


class RequestTooLarge(MetricsError):
    reason = "RequestEntityTooLarge"


class TooManyRequests(MetricsError):
    reason = "TooManyRequests"

    def __init__(self, message: str = "Too many requests, please try again later.") -> None:
        super().__init__(message)


class Internal(MetricsError):
    reason = "InternalError"


class AuthorizerFailed(MetricsError):
    reason = "InternalError"


class Unavailable(MetricsError):
    reason = "ServiceUnavailable"


class UpstreamError(Unavailable):
    """Prometheus did not give a usable answer.

    Args:
        message: short, for the caller.
        kind: one of `unreachable`, `http`, `api`, `protocol`, `too_large`, `warnings`, `overload`.
        status: HTTP status of the backend, 0 when there was none.
        detail: the backend's own words, for the log.
    """

    def __init__(self, message: str, *, kind: str, status: int = 0, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.kind = kind
        self.status = status


class KubeError(Unavailable):
    """kube-apiserver did not give a usable answer.

    Args:
        message: short, for the caller.
        kind: one of `unreachable`, `tls`, `reset`, `timeout`, `http`, `protocol`, `too_large`,
            `credentials`.
        status: HTTP status of the answer, 0 when there was none.
        retry_after: seconds that the server asks to wait, None when it does not say.
        detail: the server's own words, for the log.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        status: int = 0,
        retry_after: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message, detail=detail)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after

    @property
    def repeatable(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.kind in ("unreachable", "reset", "timeout") or self.status in (
            429,
            500,
            502,
            503,
            504,
        )


class UpstreamTimeout(MetricsError):
    reason = "Timeout"


class ConfigError(Exception):
    """A document that cannot be used, with a Diagnostic for everything found in it."""

    def __init__(self, source: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(diagnostic.render(source) for diagnostic in diagnostics))
        self.source = source
        self.diagnostics = diagnostics


class TemplateError(Exception):
    """A template that does not parse or render.

    Args:
        message: what is wrong.
        offset: 0-based character offset into the template text, -1 when unknown.
        syntax: whether Go's parser refuses it too; False for what fails only when it is rendered.
    """

    def __init__(self, message: str, *, offset: int = -1, syntax: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.syntax = syntax


class QuantityError(ValueError):
    """Text that is no Quantity, or a number that cannot be written as one (NaN, Inf)."""
