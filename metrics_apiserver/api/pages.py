"""The small documents beside the APIs: `/version` and `/metrics`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST

from metrics_apiserver.api import encoding
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo

PATHS = ("/metrics", "/version")


class ServerPages:
    """Answers `/version` and `/metrics`.

    Args:
        version: of this product, as `gitVersion`.
        metrics: the self-metrics in Prometheus text format.
    """

    def __init__(self, version: str, metrics: Callable[[], bytes]) -> None:
        self._metrics = metrics
        major, minor, *_ = [*version.split("."), "0", "0"]
        self._version = {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{version}",
            "gitCommit": "",
            "gitTreeState": "",
            "buildDate": "",
            "goVersion": "",
            "compiler": platform.python_implementation(),
            "platform": f"{platform.system().lower()}/{platform.machine()}",
        }

    def __call__(self, info: RequestInfo, headers: Mapping[str, str]) -> Encoded | None:
        """The answer; None for every other path.

        Raises:
            errors.MethodNotAllowed: neither GET nor HEAD.
        """
        if info.parts not in (("metrics",), ("version",)):
            return None
        if info.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed()
        if info.parts == ("metrics",):
            return Encoded(self._metrics(), CONTENT_TYPE_LATEST)
        return encoding.encode(self._version, encoding.negotiate(headers, info.query))
