"""external.metrics.k8s.io over HTTP: one path shape in, an ExternalMetricValueList out."""

from __future__ import annotations

from collections.abc import Mapping

from metrics_apiserver.api import encoding, parameters
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors, threads
from metrics_apiserver.core import external, selector
from metrics_apiserver.core.model import RequestInfo
from metrics_apiserver.provider.external import ExternalProvider

GROUP = "external.metrics.k8s.io"
VERSIONS = ("v1beta1",)


async def answer(
    provider: ExternalProvider, info: RequestInfo, headers: Mapping[str, str]
) -> Encoded:
    """All series of a metric; `labelSelector` selects series here.

    Raises:
        errors.MetricsError: the request or its question has no answer.
    """
    if info.method != "GET":
        raise errors.MethodNotAllowed()
    parts = info.resource_parts
    if len(parts) != 3 or parts[0] != "namespaces":
        raise errors.NotFound()
    if info.verb == "watch":
        raise errors.MethodNotAllowed(
            f'watch is not supported on resources of kind "*.{GROUP}"', group=GROUP, kind="*"
        )
    parameters.check(info.query)
    parameters.parse_fields(info.field_selector)
    chosen = encoding.negotiate(headers, info.query)
    items = await provider.read(parts[2], parts[1], selector.parse(info.label_selector))
    return await threads.run(len(items), encoding.encode, external.build_list(items), chosen)
