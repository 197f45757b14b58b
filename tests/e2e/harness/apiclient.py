"""A small HTTPS client for kube-apiserver and for the server under test.

Sends paths exactly as given, because how odd paths are read is itself under test. A connection
serves one request, so that every call sees the newest certificates and a killed server at once.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.harness import polling

Object = dict[str, Any]
Headers = Iterable[tuple[str, str]]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """Status code, headers and body; `body` is the parsed JSON, or the text when it is none."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def items(self) -> list[Any]:
        """The items of a list; empty for any other answer."""
        return self.body.get("items") or [] if isinstance(self.body, dict) else []

    def values(self) -> dict[str, str]:
        """Object name to quantity of a MetricValueList; empty for any other answer."""
        return {item["describedObject"]["name"]: item["value"] for item in self.items}


class Refused(AssertionError):
    """An answer other than the one that was needed."""


class ApiClient:
    """Requests with one identity; raises OSError when the server cannot be spoken to."""

    def __init__(self, url: str, context: ssl.SSLContext, headers: Headers = ()) -> None:
        place = urlsplit(url)
        self.url = url
        self._host = place.hostname or ""
        self._port = place.port or 443
        self._context = context
        self._headers = tuple(headers)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        headers: Headers = (),
        timeout: float = 20.0,
    ) -> Answer:
        """One request. http.client's own errors are raised as OSError."""
        connection = http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=timeout
        )
        payload = b"" if body is None else json.dumps(body).encode()
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (*self._headers, *headers):
                connection.putheader(name, value)
            if payload:
                connection.putheader("Content-Type", content_type)
                connection.putheader("Content-Length", str(len(payload)))
            connection.endheaders(payload or None)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers.items()), _parse(answer.read()))
        except http.client.HTTPException as error:
            raise OSError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def get(self, path: str, *, headers: Headers = (), timeout: float = 20.0) -> Answer:
        return self.request("GET", path, headers=headers, timeout=timeout)

    def read(self, path: str) -> Any:
        """The body of a GET that must be answered 200."""
        answer = self.get(path)
        if answer.status != 200:
            raise Refused(f"GET {path}: {answer.status} {answer.body}")
        return answer.body


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


class Cluster(ApiClient):
    """kube-apiserver as an administrator sees it: objects by apply and delete."""

    def __init__(self, url: str, context: ssl.SSLContext, headers: Headers = ()) -> None:
        super().__init__(url, context, headers)
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def path_of(self, target: Object) -> str:
        """The URL path of an object, by kube-apiserver's own discovery."""
        version = target["apiVersion"]
        prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural, namespaced = self._resource(prefix, target["kind"])
        metadata = target["metadata"]
        place = f"/namespaces/{metadata.get('namespace', 'default')}" if namespaced else ""
        return f"{prefix}{place}/{plural}/{metadata['name']}"

    def _resource(self, prefix: str, kind: str) -> tuple[str, bool]:
        if (prefix, kind) not in self._resources:
            for resource in self.read(prefix)["resources"]:
                if "/" not in resource["name"]:
                    key = (prefix, resource["kind"])
                    self._resources[key] = (resource["name"], resource["namespaced"])
        return self._resources[prefix, kind]

    def apply(self, target: Object) -> None:
        """Creates or changes one object by server-side apply, unknown fields refused.

        A `status` is patched in afterwards. While the namespace or a controller's work that
        admission asks for is not there yet, kube-apiserver says 403 or 404: sent again.
        """
        path = self.path_of(target)
        spec = {key: value for key, value in target.items() if key != "status"}
        query = "?fieldManager=e2e&force=true&fieldValidation=Strict"

        def applied() -> Answer | None:
            answer = self.request("PATCH", path + query, spec, content_type=APPLY)
            return None if answer.status in {403, 404, 409} else answer

        answer = polling.until(f"PATCH {path}", applied, timeout=15.0)
        if answer.status not in {200, 201}:
            raise Refused(f"PATCH {path}: {answer.status} {answer.body}")
        if "status" in target:
            self.patch(path + "/status", {"status": target["status"]})

    def patch(self, path: str, change: Object) -> None:
        """Merge-patches one object or subresource."""
        answer = self.request("PATCH", path, change, content_type=MERGE)
        if answer.status != 200:
            raise Refused(f"PATCH {path}: {answer.status} {answer.body}")

    def delete(self, target: Object) -> None:
        """Deletes one object, present or not, and waits until it is gone."""
        path = self.path_of(target)
        self.request("DELETE", path)
        polling.until(f"{path} gone", lambda: self.get(path).status == 404)
