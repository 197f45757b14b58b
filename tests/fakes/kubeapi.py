"""A kube-apiserver on loopback with TLS, scripted faults and a record of every request.

Serves discovery (aggregated or legacy), paged LIST, WATCH with bookmarks, GET, PUT, TokenReview and
SubjectAccessReview over the objects put into it. `fail` scripts faults for matching requests;
open watches can be cut, ended, or sent any line. `stop` and `start` keep the port, as a restart.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import trustme
from aiohttp import web

from metrics_apiserver.core.model import GroupResource, MappedResource
from metrics_apiserver.kube.connection import FileOrData, KubeConfig
from tests.fakes import kubeconfig, kubediscovery, kubeselection, kubewire
from tests.fakes.kubeselection import Change, Selection, UnsupportedField
from tests.fakes.kubestore import Expired, KubeStore
from tests.fakes.kubewire import Fault, Seen, Verb, gone, status

CONFIGMAPS = GroupResource("", "configmaps")


@dataclass
class _Script:
    path: str
    verb: Verb | None
    fault: Fault
    times: int


@dataclass(eq=False)
class _Watch:
    kind: GroupResource
    selection: Selection
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    transport: asyncio.Transport | None = None

    def tell(self, change: Change) -> None:
        """Queues the event, if the watch sees one."""
        seen = self.selection.see(change)
        if seen is not None:
            self.lines.put_nowait(orjson.dumps({"type": seen[0], "object": seen[1]}))


class FakeKubeAPI:
    """Use as an async context manager.

    Attributes:
        resources: what discovery shows and which collections exist.
        accepted_tokens: bearer tokens taken from callers; None takes everybody.
        users: answers of TokenReview by token: username, uid, groups, extra.
        authorize: answer of SubjectAccessReview (its status) for a spec.
        requests: all of them, in order.
    """

    def __init__(self, *, resources: tuple[MappedResource, ...] = kubediscovery.RESOURCES) -> None:
        self.store = KubeStore()
        self.resources = resources
        self.legacy_discovery = False
        self.discovery: dict[str, bytes] = {}
        self.accepted_tokens: set[str] | None = None
        self.users: dict[str, dict[str, Any]] = {}
        self.authorize: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {"allowed": True}
        self.requests: list[Seen] = []
        self.ca = trustme.CA()
        self.port = 0
        self._scripts: list[_Script] = []
        self._watches: list[_Watch] = []
        self._runner: web.AppRunner | None = None
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.verify_mode = ssl.CERT_OPTIONAL
        self.ca.configure_trust(self._tls)
        self.ca.issue_cert("127.0.0.1", "localhost").configure_cert(self._tls)

    async def __aenter__(self) -> FakeKubeAPI:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_pem(self) -> bytes:
        return self.ca.cert_pem.bytes()

    async def start(self) -> None:
        """Listens; after a `stop`, on the same port."""
        app = web.Application(client_max_size=16 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes the port and every connection."""
        if self._runner is not None:
            self.cut_watches()
            await self._runner.cleanup()
            self._runner = None

    def config(
        self, *, token_file: Path | None = None, token: str = "", **fields: Any
    ) -> KubeConfig:
        """A client configuration that reaches this server."""
        chosen = FileOrData("token", token.encode(), token_file) if token or token_file else None
        values = {"ca": FileOrData("ca", self.ca_pem), "token": chosen, **fields}
        return KubeConfig(source="test", server=self.url, **values)

    def kubeconfig(self, user: Mapping[str, Any], **cluster: Any) -> bytes:
        """A kubeconfig document for this server."""
        authority = base64.b64encode(self.ca_pem).decode()
        fields = {"certificate_authority_data": authority, **cluster}
        return kubeconfig.document(self.url, user, **fields)

    def rotate_ca(self) -> None:
        """New handshakes show a certificate of a new CA; `ca_pem` is then the new one's."""
        self.ca = trustme.CA()
        self.ca.issue_cert("127.0.0.1", "localhost").configure_cert(self._tls)

    def put(
        self,
        kind: GroupResource,
        namespace: str,
        name: str,
        labels: dict[str, str] | None = None,
        **fields: Any,
    ) -> None:
        """Creates or replaces an object and notifies the watches."""
        self._notify(kind, self.store.put(kind, namespace, name, labels, **fields))

    def delete(self, kind: GroupResource, namespace: str, name: str) -> None:
        """Removes an object and notifies the watches."""
        self._notify(kind, self.store.delete(kind, namespace, name))

    def bookmark(self, kind: GroupResource) -> None:
        """Sends a bookmark to the watches of one kind."""
        self.send(kind, kubewire.bookmark(self.store.version))

    def send(self, kind: GroupResource, line: bytes) -> None:
        """Sends any line to the open watches of one kind."""
        for watch in self.watches(kind):
            watch.lines.put_nowait(line)

    def end_watches(self) -> None:
        """Ends all watches properly, as at their timeout."""
        for watch in self._watches:
            watch.lines.put_nowait(None)

    def cut_watches(self) -> None:
        """Aborts the connections of all watches."""
        for watch in self._watches:
            if watch.transport is not None:
                watch.transport.abort()

    def watches(self, kind: GroupResource) -> list[_Watch]:
        """The open watches of one kind."""
        return [watch for watch in self._watches if watch.kind == kind]

    def fail(self, path: str, fault: Fault, *, verb: Verb | None = None, times: int = 1) -> None:
        """Scripts a fault for the next `times` requests whose path begins with `path`."""
        self._scripts.append(_Script(path, verb, fault, times))

    def heal(self) -> None:
        """Drops the faults that are left."""
        self._scripts.clear()

    def count(self, path: str, verb: Verb | None = None) -> int:
        """Requests seen whose path begins with `path`."""
        return len(self.seen(path, verb))

    def seen(self, path: str, verb: Verb | None = None) -> list[Seen]:
        return [
            seen
            for seen in self.requests
            if seen.path.startswith(path) and verb in (None, seen.verb)
        ]

    def _notify(self, kind: GroupResource, change: Change) -> None:
        for watch in self.watches(kind):
            watch.tell(change)

    def _next_fault(self, seen: Seen) -> Fault | None:
        for script in self._scripts:
            if seen.path.startswith(script.path) and script.verb in (None, seen.verb):
                script.times -= 1
                if script.times <= 0:
                    self._scripts.remove(script)
                return script.fault
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = await kubewire.record(request)
        self.requests.append(seen)
        fault = self._next_fault(seen)
        if fault is not None and fault.kind in ("status", "raw"):
            return kubewire.answer(fault.status, fault.body, fault.headers)
        if fault is not None and fault.kind == "chunked":
            return await kubewire.chunked(request, fault)
        if fault is not None and fault.kind == "hang":
            await asyncio.Event().wait()
        if not self._is_known(seen):
            refused = status(401, "Unauthorized")
            return kubewire.answer(401, refused.body)
        if seen.verb == "watch":
            return await self._watch(request, seen, fault)
        code, body = self._respond(seen)
        if fault is not None and fault.kind == "reset":
            return await kubewire.cut(request, body[: fault.after])
        return kubewire.answer(code, body)

    def _is_known(self, seen: Seen) -> bool:
        if self.accepted_tokens is None or seen.peer_name:
            return True
        return seen.authorization.removeprefix("Bearer ") in self.accepted_tokens

    def _respond(self, seen: Seen) -> tuple[int, bytes]:
        if seen.path in self.discovery:
            return 200, self.discovery[seen.path]
        if seen.verb == "create":
            return self._review(seen)
        if seen.verb == "update":
            return self._update(seen)
        document = kubediscovery.document(
            seen.path, self.resources, legacy=self.legacy_discovery or "as=" not in seen.accept
        )
        if document is not None:
            return 200, orjson.dumps(document)
        return self._read(seen)

    def _review(self, seen: Seen) -> tuple[int, bytes]:
        spec = seen.body["spec"]
        if seen.path.endswith("/tokenreviews"):
            user = self.users.get(spec["token"])
            answer: dict[str, Any] = {"authenticated": user is not None}
            if user is not None:
                answer["user"] = {k: v for k, v in user.items() if k != "audiences"}
                audiences = user.get("audiences", [])
                if spec.get("audiences"):
                    answer["audiences"] = [a for a in spec["audiences"] if a in audiences]
                    answer["authenticated"] = bool(answer["audiences"])
        else:
            answer = self.authorize(spec)
        return 201, orjson.dumps({**seen.body, "status": answer})

    def _update(self, seen: Seen) -> tuple[int, bytes]:
        """Replaces an object that exists, unless somebody did so since the caller read it."""
        target = self._target(seen)
        current = self.store.get(*target) if target else None
        if target is None or current is None:
            return 404, status(404, "NotFound").body
        metadata = seen.body["metadata"]
        if metadata.get("resourceVersion") != current["metadata"]["resourceVersion"]:
            return 409, status(409, "Conflict").body
        outer = ("metadata", "kind", "apiVersion")
        fields = {key: value for key, value in seen.body.items() if key not in outer}
        self.put(*target, metadata.get("labels"), **fields)
        return 200, orjson.dumps(self.store.get(*target))

    def _read(self, seen: Seen) -> tuple[int, bytes]:
        target = self._target(seen)
        if target is None:
            return 404, status(404, "NotFound").body
        kind, namespace, name = target
        if seen.verb == "get":
            item = self.store.get(kind, namespace, name)
            if item is None:
                return 404, status(404, "NotFound").body
            return 200, orjson.dumps(item)
        try:
            page = self.store.page(
                kind,
                _selection(seen, namespace),
                limit=int(seen.query.get("limit", "0")),
                token=seen.query.get("continue", ""),
            )
        except UnsupportedField:
            return 400, status(400, "BadRequest").body
        except Expired:
            return 410, status(410, "Expired").body
        metadata: dict[str, Any] = {"resourceVersion": str(page.version)}
        if page.token:
            metadata.update({"continue": page.token, "remainingItemCount": page.remaining})
        listed = {"kind": "List", "metadata": metadata, "items": page.items}
        return 200, orjson.dumps(listed)

    def _target(self, seen: Seen) -> tuple[GroupResource, str, str] | None:
        """Kind, namespace and name of a request's path."""
        parts = seen.path.strip("/").split("/")
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        kind = GroupResource(group, rest[0])
        if kind not in {resource.group_resource for resource in self.resources}:
            return None
        return kind, namespace, rest[1] if len(rest) > 1 else ""

    async def _watch(
        self, request: web.Request, seen: Seen, fault: Fault | None
    ) -> web.StreamResponse:
        target = self._target(seen)
        if target is None:
            return kubewire.answer(404, status(404, "NotFound").body)
        try:
            selection = _selection(seen, target[1])
        except UnsupportedField:
            return kubewire.answer(400, status(400, "BadRequest").body)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if fault is not None and fault.kind == "reset" and request.transport is not None:
            request.transport.abort()
            return response
        if fault is not None and fault.kind == "silent":
            await asyncio.Event().wait()
        if fault is not None and fault.kind == "event":
            await response.write(fault.body + b"\n")
            return response
        watch = _Watch(target[0], selection, transport=request.transport)
        self._replay(watch, int(seen.query.get("resourceVersion") or "0"))
        self._watches.append(watch)
        try:
            await self._stream(response, watch, float(seen.query.get("timeoutSeconds", "300")))
        finally:
            self._watches.remove(watch)
        return response

    def _replay(self, watch: _Watch, version: int) -> None:
        try:
            for change in self.store.since(watch.kind, version):
                watch.tell(change)
        except Expired:
            watch.lines.put_nowait(gone().body)
            watch.lines.put_nowait(None)

    async def _stream(self, response: web.StreamResponse, watch: _Watch, seconds: float) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(seconds):
                    while (line := await watch.lines.get()) is not None:
                        await response.write(line + b"\n")
            except TimeoutError:
                await response.write(kubewire.bookmark(self.store.version) + b"\n")


def _selection(seen: Seen, namespace: str) -> Selection:
    return kubeselection.parse(namespace, seen.query.get("fieldSelector", ""))
