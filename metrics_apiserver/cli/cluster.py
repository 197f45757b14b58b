"""Requests to kube-apiserver by the official Kubernetes client, for the command-line tools.

The server has a small client of its own, because the official one costs it half a second and 20 MB.
Here the official one makes connections, runs credential plugins and honours the proxies of the
environment, as kubectl does. The kubeconfig is read by `kube.config`, whose errors name the field,
and which refuses what the official client would ignore, such as impersonation. Answers are bounded,
and all that goes wrong is an `errors.KubeError` whose text names no token.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import orjson
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import kube_config

from metrics_apiserver.base import errors
from metrics_apiserver.kube import config, wire
from metrics_apiserver.kube.connection import FileOrData, KubeConfig

CONNECT_TIMEOUT_SECONDS = 3.0
PLUGIN_TIMEOUT_SECONDS = 30.0
MAX_BODY_BYTES = 4 << 20


class Cluster:
    """One kube-apiserver. Use as an async context manager.

    Args:
        kubeconfig: a file; empty for the pod's service account.

    Raises:
        errors.ConfigError: the kubeconfig cannot be used; names the file and the field.
    """

    def __init__(self, kubeconfig: str) -> None:
        self._config = config.load(kubeconfig)
        self._stack = AsyncExitStack()
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def request(
        self, call: wire.KubeRequest, *, timeout: float = 10.0, max_bytes: int | None = None
    ) -> wire.KubeResponse:
        """The answer, whatever its status; a 401 is tried once more with fresh credentials.

        Raises:
            errors.KubeError: there was no complete answer, or no credentials.
        """
        limit = max_bytes or MAX_BODY_BYTES
        client = await self._connect(None)
        response = await _send(client, call, timeout, limit)
        if response.status == 401:
            client = await self._connect(client)
            response = await _send(client, call, timeout, limit)
        return response

    async def get_json(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`.

        Raises:
            errors.KubeError: no answer, not 200, or not a JSON object.
        """
        response = await self.request(wire.KubeRequest("GET", path))
        if response.status != 200:
            raise wire.status_error(f"GET {path}", response)
        return wire.decode(response.body)

    async def _connect(self, refused: ApiClient | None) -> ApiClient:
        """A client; another one than that whose credentials were refused."""
        async with self._connecting:
            client = self._client
            if client is None or client is refused:
                try:
                    client = ApiClient(await self._load())
                except (OSError, ValueError) as error:
                    raise wire.translate(error) from error
                # As Go verifies: the authority that is given need not be a root.
                client.rest_client.ssl_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                self._client = await self._stack.enter_async_context(client)
            return client

    async def _load(self) -> Configuration:
        """The configuration with credentials.

        Raises:
            errors.KubeError: a plugin gave none.
        """
        configuration = Configuration()
        configuration.disable_strict_ssl_verification = True
        plugin = self._config.plugin
        kind = plugin.kind if plugin is not None else "kubeconfig"
        loader: Any = kube_config.KubeConfigLoader
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT_SECONDS):
                await loader(_document(self._config)).load_and_set(configuration)
        except Exception as error:  # noqa: BLE001 - a plugin raises whatever it likes, and the text
            # may quote what it was given: only the type is reported
            raise _no_credentials(f"{kind} failed: {type(error).__name__}") from None
        token = configuration.api_key.get("BearerToken", "").strip()
        if token:
            configuration.api_key["BearerToken"] = token
        elif plugin is not None and not configuration.cert_file:
            raise _no_credentials(f"{kind} failed")
        return configuration


def _document(read: KubeConfig) -> dict[str, Any]:
    """A kubeconfig of one context for the official client, every path in it absolute."""
    cluster = {
        "server": read.server,
        "insecure-skip-tls-verify": read.insecure_skip_tls_verify,
        **_material("certificate-authority", read.ca),
    }
    if read.tls_server_name:
        cluster["tls-server-name"] = read.tls_server_name
    if read.proxy_url:
        cluster["proxy-url"] = read.proxy_url
    user: dict[str, Any] = {
        **_material("client-certificate", read.client_certificate),
        **_material("client-key", read.client_key),
    }
    if read.token is not None:
        user["token"] = read.token.read().decode()
    if read.username:
        user |= {"username": read.username, "password": read.password}
    if read.plugin is not None:
        settings = dict(read.plugin.settings)
        if "/" in settings.get("command", ""):
            settings["command"] = str(read.plugin.directory / settings["command"])
        user[read.plugin.kind] = settings
    return {
        "current-context": "this",
        "contexts": [{"name": "this", "context": {"cluster": "this", "user": "this"}}],
        "clusters": [{"name": "this", "cluster": cluster}],
        "users": [{"name": "this", "user": user}],
    }


def _material(key: str, material: FileOrData | None) -> dict[str, str]:
    if material is None:
        return {}
    if material.path is not None:
        return {key: str(material.path)}
    return {f"{key}-data": base64.b64encode(material.read()).decode()}


def _no_credentials(detail: str) -> errors.KubeError:
    message = "credentials for kube-apiserver cannot be obtained"
    return errors.KubeError(message, kind="credentials", detail=detail)


async def _send(
    client: ApiClient, call: wire.KubeRequest, timeout: float, max_bytes: int
) -> wire.KubeResponse:
    limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT_SECONDS)
    headers = {"Accept": call.accept, "Content-Type": call.content_type}
    body = orjson.loads(call.body) if call.body is not None else None
    request = await client.param_serialize(
        call.method,
        call.path,
        query_params=list(call.query.items()),
        header_params=headers,
        body=body,
        auth_settings=["BearerToken"],
    )
    try:
        method, url, headers, body, _ = request
        answer = await client.call_api(method, url, headers, body, _request_timeout=limits)
        async with answer.response as response:
            content = await wire.read(response, max_bytes)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise wire.translate(error) from error
    if response.status >= 400:
        secret = client.configuration.api_key.get("BearerToken", "").partition(" ")[2]
        content = wire.redact(content.decode(errors="replace"), secret).encode()
    return wire.KubeResponse(response.status, response.headers, content)
