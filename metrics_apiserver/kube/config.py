"""The address of kube-apiserver and our credentials, of a kubeconfig file or the service account.

Reads the file itself: loading `kubernetes.aio` costs half a second and 20 MB, which the server's
start and memory limits do not allow; that library is loaded only for `exec` and `auth-provider`
users (credentials.py). Semantics follow client-go's clientcmd: inline data wins over a file,
relative paths are relative to the kubeconfig, credentials are not sent over plain HTTP.
Refuses settings that must not be ignored: impersonation, SOCKS proxies, two
credentials at once. The process environment is read here and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from metrics_apiserver.base import errors, files
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.kube.connection import (
    CredentialPlugin,
    FileOrData,
    KubeConfig,
)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def load(
    path: str,
    *,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> KubeConfig:
    """Reads the kubeconfig at `path`, or the pod's service account when `path` is empty.

    Raises:
        errors.ConfigError: names the file and the field.
    """
    if path:
        return _load_file(Path(path))
    return _load_in_cluster(environ, service_account)


def _fail(source: str, place: str, message: str) -> errors.ConfigError:
    return errors.ConfigError(source, (Diagnostic(message, path=place),))


def _load_in_cluster(environ: Mapping[str, str], directory: Path) -> KubeConfig:
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    port = environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise _fail(
            "in-cluster",
            "KUBERNETES_SERVICE_HOST",
            "not set: this is not a pod; give a kubeconfig file instead",
        )
    if ":" in host:
        host = f"[{host}]"
    token = FileOrData("token", path=directory / "token")
    ca = FileOrData("ca.crt", path=directory / "ca.crt")
    for material in (token, ca):
        _require_readable("in-cluster", material)
    try:
        namespace = files.read(directory / "namespace").decode().strip()
    except (OSError, UnicodeDecodeError):
        namespace = ""
    return KubeConfig(
        source="in-cluster",
        server=f"https://{host}:{port}",
        namespace=namespace,
        ca=ca,
        token=token,
    )


def _require_readable(source: str, material: FileOrData | None) -> None:
    """A file that is missing at start is an error; one that goes away later is not fatal."""
    if material is None:
        return
    try:
        material.read()
    except OSError as error:
        raise _fail(source, material.place, f"cannot be read: {error}") from error


def _load_file(path: Path) -> KubeConfig:
    source = str(path)
    try:
        document = yaml.safe_load(files.read(path))
    except OSError as error:
        raise _fail(source, "", f"cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError, ValueError) as error:
        # The text of a YAML error quotes the file, which holds secrets: only its place is shown.
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        raise errors.ConfigError(source, (Diagnostic("is not YAML", line=line),)) from None
    return _KubeconfigReader(source, path.parent.absolute(), document).read()


_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")


class _KubeconfigReader:
    """Takes one context out of a decoded kubeconfig, naming the field in every complaint."""

    def __init__(self, source: str, directory: Path, document: object) -> None:
        self._source = source
        self._directory = directory
        if not isinstance(document, dict):
            raise _fail(source, "", "is not a kubeconfig: expected a mapping")
        self._document: dict[str, Any] = document

    def read(self) -> KubeConfig:
        name = self._text(self._document, "current-context", "")
        if not name:
            raise _fail(self._source, "current-context", "missing")
        context_place, context = self._named("contexts", "context", name)
        cluster_name = self._text(context, "cluster", context_place)
        cluster_place, cluster = self._named("clusters", "cluster", cluster_name)
        server = self._server(cluster, cluster_place)
        user_name = self._text(context, "user", context_place)
        user_place, user = self._named("users", "user", user_name) if user_name else ("", {})
        secure = server.startswith("https://")
        config = KubeConfig(
            source=self._source,
            server=server,
            namespace=self._text(context, "namespace", context_place),
            ca=self._material(cluster, "certificate-authority", cluster_place),
            insecure_skip_tls_verify=self._flag(cluster, "insecure-skip-tls-verify", cluster_place),
            tls_server_name=self._text(cluster, "tls-server-name", cluster_place),
            proxy_url=self._proxy(cluster, cluster_place),
            **(self._user(user, user_place) if secure else {}),
        )
        self._check(config, cluster_place, user_place)
        return config

    def _check(self, config: KubeConfig, cluster_place: str, user_place: str) -> None:
        if config.insecure_skip_tls_verify and config.ca is not None:
            message = "a certificate authority and insecure-skip-tls-verify exclude each other"
            raise _fail(self._source, cluster_place, message)
        if (config.client_certificate is None) != (config.client_key is None):
            message = "client-certificate and client-key go together"
            raise _fail(self._source, user_place, message)
        ways = (config.token is not None, bool(config.username), config.plugin is not None)
        if sum(ways) > 1:
            message = "more than one of token, username and exec or auth-provider"
            raise _fail(self._source, user_place, message)
        for material in (config.ca, config.client_certificate, config.client_key, config.token):
            _require_readable(self._source, material)

    def _user(self, user: dict[str, Any], place: str) -> dict[str, Any]:
        for key in _IMPERSONATION:
            if user.get(key):
                raise _fail(self._source, f"{place}.{key}", "impersonation is not supported")
        return {
            "client_certificate": self._material(user, "client-certificate", place),
            "client_key": self._material(user, "client-key", place),
            "token": self._token(user, place),
            "username": self._text(user, "username", place),
            "password": self._text(user, "password", place),
            "plugin": self._plugin(user, place),
        }

    def _token(self, user: dict[str, Any], place: str) -> FileOrData | None:
        """A token file wins over an inline token, as in client-go."""
        file = self._text(user, "tokenFile", place)
        if file:
            return FileOrData(f"{place}.tokenFile", path=self._directory / file)
        token = self._text(user, "token", place)
        return FileOrData(f"{place}.token", data=token.encode()) if token else None

    def _plugin(self, user: dict[str, Any], place: str) -> CredentialPlugin | None:
        for kind in ("exec", "auth-provider"):
            settings = user.get(kind)
            if settings is None:
                continue
            if not isinstance(settings, dict):
                raise _fail(self._source, f"{place}.{kind}", "expected a mapping")
            return CredentialPlugin(kind, settings, self._directory)
        return None

    def _server(self, cluster: dict[str, Any], place: str) -> str:
        server = self._text(cluster, "server", place).rstrip("/")
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _fail(self._source, f"{place}.server", "expected an http or https URL")
        if parts.username or parts.password or parts.query or parts.fragment:
            message = "a user, query or fragment in the URL is not supported"
            raise _fail(self._source, f"{place}.server", message)
        return server

    def _proxy(self, cluster: dict[str, Any], place: str) -> str:
        proxy = self._text(cluster, "proxy-url", place)
        if proxy and urlsplit(proxy).scheme not in ("http", "https"):
            raise _fail(self._source, f"{place}.proxy-url", "only http and https proxies are used")
        return proxy

    def _material(self, node: dict[str, Any], key: str, place: str) -> FileOrData | None:
        data = self._text(node, f"{key}-data", place)
        if data:
            try:
                decoded = base64.b64decode("".join(data.split()), validate=True)
            except (binascii.Error, ValueError):
                raise _fail(self._source, f"{place}.{key}-data", "is not base64") from None
            return FileOrData(f"{place}.{key}-data", data=decoded)
        file = self._text(node, key, place)
        return FileOrData(f"{place}.{key}", path=self._directory / file) if file else None

    def _named(self, section: str, inner: str, name: str) -> tuple[str, dict[str, Any]]:
        """The entry of a named list, with its place such as `users[0].user`."""
        entries = self._document.get(section)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and entry.get("name") == name:
                place = f"{section}[{index}].{inner}"
                node = entry.get(inner) or {}
                if not isinstance(node, dict):
                    raise _fail(self._source, place, "expected a mapping")
                return place, node
        raise _fail(self._source, section, f"no entry is called {name!r}")

    def _text(self, node: dict[str, Any], key: str, place: str) -> str:
        value = node.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise _fail(self._source, f"{place}.{key}".lstrip("."), "expected text")
        return value

    def _flag(self, node: dict[str, Any], key: str, place: str) -> bool:
        value = node.get(key, False)
        if not isinstance(value, bool):
            raise _fail(self._source, f"{place}.{key}", "expected true or false")
        return value
