"""custom.metrics.k8s.io over HTTP: seven path shapes in, a MetricValueList out.

Shapes and refusals follow the library's `pkg/apiserver/endpoints/handlers/get.go`. Everything is
taken from the authorised RequestInfo; the path is not looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping

from metrics_apiserver.api import encoding, parameters
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors, threads
from metrics_apiserver.core import custom, selector
from metrics_apiserver.core.custom import CustomRequest
from metrics_apiserver.core.model import NAMESPACES, GroupResource, RequestInfo
from metrics_apiserver.provider.custom import CustomProvider

GROUP = "custom.metrics.k8s.io"
VERSIONS = ("v1beta1", "v1beta2")

_NAMESPACE_SUBRESOURCES = ("status", "finalize")


def parse_request(info: RequestInfo) -> CustomRequest:
    """The read that a path under `/apis/custom.metrics.k8s.io/{version}` names.

    Raises:
        errors.NotFound: no such path shape.
        errors.BadRequest: a selector or parameter does not parse.
    """
    namespace, resource, name, metric = _shape(info)
    parameters.check(info.query)
    fields = parameters.parse_fields(info.field_selector)
    if fields and fields != {"metadata.name": name}:
        raise errors.BadRequest("fieldSelector may only repeat the name in the path")
    return CustomRequest(
        resource=resource,
        namespace=namespace,
        name=name,
        metric=metric,
        object_selector=selector.parse(info.label_selector),
        metric_selector=selector.parse(info.query.get("metricLabelSelector", "")),
    )


def _shape(info: RequestInfo) -> tuple[str, GroupResource, str, str]:
    """(namespace, resource, name, metric) of the seven shapes."""
    parts = info.resource_parts
    namespaced = parts[0] == "namespaces"
    if namespaced and len(parts) in (4, 5) and parts[2] == "metrics":
        # A metric that describes the namespace itself; its resource name is taken by this shape.
        return "", NAMESPACES, parts[1], parts[3]
    if namespaced and len(parts) == 5:
        return parts[1], GroupResource.parse(parts[2]), parts[3], parts[4]
    if namespaced and len(parts) == 3 and parts[2] in _NAMESPACE_SUBRESOURCES:
        return "", NAMESPACES, parts[1], parts[2]
    if not namespaced and len(parts) == 3:
        return "", GroupResource.parse(parts[0]), parts[1], parts[2]
    raise errors.NotFound()


async def answer(
    provider: CustomProvider, info: RequestInfo, headers: Mapping[str, str]
) -> Encoded:
    """The MetricValueList of the version that was asked for.

    Raises:
        errors.MetricsError: the request or its question has no answer.
    """
    if info.method != "GET":
        raise errors.MethodNotAllowed()
    request = parse_request(info)
    chosen = encoding.negotiate(headers, info.query)
    found = await provider.read(request)

    def write() -> Encoded:
        return encoding.encode(custom.build_list(info.version, found.target, found.items), chosen)

    return await threads.run(len(found.items), write)
