"""UUIDs of devices that are allocated by ResourceClaims, from the ResourceSlices of this node.

The kubelet reports such a device by pool and name only. Reading the slices needs `list` on
resourceslices in resource.k8s.io. They are read when a name is unknown, at most every 30 s, and
every 5 minutes while there are claims. The address of the API server and the credentials are those
of the pod's service account.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from metrics_apiserver.base import files, tls
from metrics_apiserver.exporter.attribution.podresources import DRA_DRIVER, ClaimedDevice

_logger = logging.getLogger(__name__)

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_VERSIONS = ("v1", "v1beta2", "v1beta1")
_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 16 << 20
_REFRESH_SECONDS = 30.0
_KEEP_SECONDS = 300.0  # a name can be reused for another device


class ResourceSlices:
    """(pool, device) -> UUID.

    Args:
        node: whose slices to read.
        account: directory with `token` and `ca.crt`.
        environment: holds KUBERNETES_SERVICE_HOST and _PORT.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        node: str,
        clock: Callable[[], float],
        account: Path = ACCOUNT,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._node = node
        self._clock = clock
        self._account = account
        self._environment = environment
        self._uuids: dict[tuple[str, str], str] = {}
        self._read_at = float("-inf")

    def find(self, claimed: ClaimedDevice) -> str | None:
        """The UUID, or None; never blocks."""
        return self._uuids.get((claimed.pool, claimed.device))

    def refresh(self, wanted: set[tuple[str, str]]) -> None:
        """Reads the slices if a wanted device is unknown or the last read is too old.

        Raises:
            OSError, ValueError, KeyError: the API server gave no usable response.
        """
        age = self._clock() - self._read_at
        if age < (_KEEP_SECONDS if wanted <= self._uuids.keys() else _REFRESH_SECONDS):
            return
        if not wanted:
            return
        self._read_at = self._clock()
        try:
            self._uuids = dict(_uuids(self._list()))
        except (http.client.HTTPException, AttributeError, TypeError, RecursionError) as fault:
            raise ValueError(f"no ResourceSlices: {type(fault).__name__}") from None

    def _list(self) -> list[dict[str, Any]]:
        host = self._environment["KUBERNETES_SERVICE_HOST"]
        port = int(self._environment.get("KUBERNETES_SERVICE_PORT", "443"))
        context = tls.build_client_context(files.read(self._account / "ca.crt"), None)
        token = files.read(self._account / "token").decode().strip()
        connection = http.client.HTTPSConnection(
            host, port, timeout=_TIMEOUT_SECONDS, context=context
        )
        selector = quote(f"spec.nodeName={self._node}")
        try:
            for version in _VERSIONS:
                connection.request(
                    "GET",
                    f"/apis/resource.k8s.io/{version}/resourceslices?fieldSelector={selector}",
                    headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                )
                response = connection.getresponse()
                body = response.read(_MAX_BYTES + 1)
                if response.status == http.HTTPStatus.NOT_FOUND:
                    continue
                if response.status != http.HTTPStatus.OK or len(body) > _MAX_BYTES:
                    raise OSError(f"listing ResourceSlices: HTTP {response.status}")
                items: list[dict[str, Any]] = json.loads(body).get("items") or []
                return items
        finally:
            connection.close()
        raise OSError("the API server has no ResourceSlices")


def _uuids(slices: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    for one in slices:
        spec = one.get("spec") or {}
        if spec.get("driver") != DRA_DRIVER:
            continue
        pool = (spec.get("pool") or {}).get("name", "")
        for device in spec.get("devices") or []:
            # Up to v1beta1 the attributes of a device are one level deeper.
            attributes = (device.get("basic") or device).get("attributes") or {}
            uuid = (attributes.get("uuid") or {}).get("string")
            if uuid:
                yield (pool, device.get("name", "")), uuid
