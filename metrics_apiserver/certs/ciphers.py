"""TLS versions and cipher suites by the names that Kubernetes flags use.

The default is the forward-secret AEAD suites. Suites that Go calls insecure are taken when they
are named, because shipped manifests name them, unless OpenSSL itself has none of that name (RC4,
3DES). TLS 1.3 suites cannot be chosen, in Go as here, and are accepted without effect.
"""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Sequence

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError

_AEAD = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
_OPENSSL = {
    **_AEAD,
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
}
_WITHOUT_EFFECT = frozenset(
    {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_RC4_128_SHA",
    }
)
_VERSIONS = {
    "": ssl.TLSVersion.TLSv1_2,
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}


def openssl_list(names: Sequence[str]) -> str:
    """OpenSSL's list for Go's names; no name at all means the AEAD suites.

    Raises:
        ConfigError: a name that Go does not know either, or nothing usable is left.
    """
    place = "--tls-cipher-suites"
    known = _OPENSSL.keys() | _WITHOUT_EFFECT
    diagnostics = tuple(
        Diagnostic(f"no cipher suite {name!r}{_nearest(name, sorted(known))}", place)
        for name in names
        if name not in known
    )
    if diagnostics:
        raise ConfigError("flags", diagnostics)
    chosen = [_OPENSSL[name] for name in names if name in _OPENSSL]
    if names and not chosen and not any(name.startswith(("TLS_AES", "TLS_CH")) for name in names):
        raise ConfigError("flags", (Diagnostic("none of the named suites is available", place),))
    return ":".join(dict.fromkeys(chosen or _AEAD.values()))


def minimum_version(name: str) -> ssl.TLSVersion:
    """The version that `VersionTLS12` or `VersionTLS13` names.

    Raises:
        ConfigError: any other name; older versions are not served.
    """
    version = _VERSIONS.get(name)
    if version is None:
        diagnostic = Diagnostic(
            f"must be VersionTLS12 or VersionTLS13, not {name!r}", "--tls-min-version"
        )
        raise ConfigError("flags", (diagnostic,))
    return version


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, 1)
    return f"; did you mean {near[0]}?" if near else ""
