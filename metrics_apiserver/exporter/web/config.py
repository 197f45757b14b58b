"""The web configuration file of Prometheus exporters: TLS, basic authentication, headers.

As in exporter-toolkit, unknown keys are errors and paths are relative to the file. Settings that
cannot be honoured are refused, not ignored: a file that asks for protection must not yield less.
HTTP/2 is not supported, whatever `http2` says. /healthz and /readyz need no password.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from metrics_apiserver.base import files

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_HEADERS = {
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
}
_TLS_KEYS = {
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
}
# Go's names of the supported TLS 1.2 cipher suites -> OpenSSL's.
_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}


class WebConfigError(ValueError):
    """The file, or a file that it refers to, is invalid."""


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS files and limits.

    Attributes:
        client_sans: a client certificate must have one of these names; empty allows all.
    """

    certificate: Path
    key: Path
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_ca: Path | None = None
    client_sans: frozenset[str] = frozenset()
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Content of the file; an empty one serves plain HTTP to everybody.

    Attributes:
        users: name -> bcrypt hash.
    """

    tls: TlsConfig | None = None
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


def load(path: Path, read: Callable[[Path], bytes] = files.read) -> WebConfig:
    """Reads the file.

    Args:
        path: of the file.
        read: gives its content.

    Raises:
        WebConfigError: with the reason, which never contains a hash.
    """
    try:
        document = yaml.safe_load(read(path)) or {}
    except OSError as error:
        raise WebConfigError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError:
        raise WebConfigError(f"{path}: not YAML") from None
    try:
        return _parse(document, path.parent)
    except WebConfigError as fault:
        raise WebConfigError(f"{path}: {fault}") from None


def _parse(document: object, folder: Path) -> WebConfig:
    whole = _mapping(
        document, "the file", {"tls_server_config", "http_server_config", "basic_auth_users"}
    )
    http = _mapping(whole.get("http_server_config"), "http_server_config", {"http2", "headers"})
    headers = _texts(http.get("headers"), "headers")
    for name in headers:
        if name.lower() not in _HEADERS:
            raise WebConfigError(f"header {name} cannot be set")
    users = {
        name: text.encode()
        for name, text in _texts(whole.get("basic_auth_users"), "basic_auth_users").items()
    }
    if any(not one.startswith((b"$2a$", b"$2b$", b"$2y$")) for one in users.values()):
        raise WebConfigError("basic_auth_users: a password is not a bcrypt hash")
    tls = whole.get("tls_server_config")
    return WebConfig(_tls(tls, folder) if tls else None, users, headers)


def _tls(document: object, folder: Path) -> TlsConfig:
    found = _mapping(document, "tls_server_config", _TLS_KEYS)
    if not found.get("cert_file") or not found.get("key_file"):
        raise WebConfigError("tls_server_config: cert_file and key_file are needed")
    client_ca = folder / str(found["client_ca_file"]) if found.get("client_ca_file") else None
    client_auth = _choice(found, "client_auth_type", _CLIENT_AUTH, "")
    if (client_auth is not ssl.CERT_NONE) != (client_ca is not None):
        raise WebConfigError("client_auth_type and client_ca_file need each other")
    suites = found.get("cipher_suites") or []
    if not isinstance(suites, list) or not set(map(str, suites)) <= _SUITES.keys():
        raise WebConfigError("cipher_suites: not a list of suites that are known and good")
    sans = found.get("client_allowed_sans") or []
    if not isinstance(sans, list) or (sans and client_auth is not ssl.CERT_REQUIRED):
        raise WebConfigError("client_allowed_sans: a list, with RequireAndVerifyClientCert")
    return TlsConfig(
        folder / str(found["cert_file"]),
        folder / str(found["key_file"]),
        client_auth,
        client_ca,
        frozenset(map(str, sans)),
        _choice(found, "min_version", _VERSIONS, "TLS12"),
        _choice(found, "max_version", _VERSIONS, "TLS13"),
        tuple(_SUITES[str(suite)] for suite in suites),
    )


def _choice(found: Mapping[str, Any], key: str, choices: Mapping[str, Any], default: str) -> Any:
    text = found.get(key, default)
    if not isinstance(text, str) or text not in choices:
        raise WebConfigError(f"{key}: {text!r} is not one of {', '.join(filter(None, choices))}")
    return choices[text]


def _mapping(value: object, name: str, keys: set[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WebConfigError(f"{name}: not a mapping")
    unknown = [str(key) for key in value if key not in keys]
    if unknown:
        raise WebConfigError(
            f"{name}: unknown key {unknown[0]}; known are {', '.join(sorted(keys))}"
        )
    return value


def _texts(value: object, name: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WebConfigError(f"{name}: not a mapping")
    if not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise WebConfigError(f"{name}: names and values must be strings")
    return value


def context(tls: TlsConfig, read: Callable[[Path], bytes] = files.read) -> ssl.SSLContext:
    """A TLS context from the current content of the files.

    Args:
        tls: names the files.
        read: gives their content.

    Raises:
        WebConfigError: a file is missing, or certificate and key do not match.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        made.minimum_version = tls.minimum
        made.maximum_version = tls.maximum
        made.set_ciphers(":".join(tls.suites or _SUITES.values()))
        with files.private_file(read(tls.key) + b"\n" + read(tls.certificate)) as name:
            made.load_cert_chain(name, password=_no_password)
        if tls.client_ca is not None:
            made.load_verify_locations(cadata=read(tls.client_ca).decode("ascii", "ignore"))
            # As in Go, every certificate of the bundle is a trust anchor, whoever signed it.
            made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    except (OSError, ValueError) as error:
        raise WebConfigError(f"TLS cannot be served: {type(error).__name__}: {error}") from None
    made.verify_mode = tls.client_auth
    return made


def _no_password() -> str:
    raise ValueError("the key is encrypted")
