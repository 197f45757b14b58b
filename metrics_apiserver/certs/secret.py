"""The content of the Secret, and its encoding.

| key | holds |
| --- | --- |
| `tls.crt`, `tls.key` | the pair that is served; the same as `serving.crt`, `serving.key` |
| `ca.crt` | every authority that the APIServices must trust now, the signing one first |
| `ca.key` | the key of that first authority; absent where the pair comes from outside |
| `next.crt`, `next.key` | a pair that waits until every APIService trusts its authority |

The second names of the pair are those of prometheus-adapter's manifests. Other keys are left
alone. What is not base64 or not a pair reads as absent: it is replaced, not served. A Secret that
cert-manager fills is refused, because two writers would never agree.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metrics_apiserver.certs.issue import Pair

PRIVATE = frozenset({"tls.key", "serving.key", "ca.key", "next.key"})
_FOREIGN_MARK = "cert-manager.io/"


@dataclass(frozen=True, slots=True)
class Material:
    """The content of the Secret, decoded.

    Attributes:
        serving: the pair that every replica serves.
        upcoming: the pair that will be served once its authority is trusted everywhere.
        authorities: PEM bundle, the signing one first.
        authority_key: PEM; empty when it is not here.
    """

    serving: Pair | None = None
    upcoming: Pair | None = None
    authorities: bytes = b""
    authority_key: bytes = field(default=b"", repr=False)


def read(data: Mapping[str, object]) -> Material:
    """The material in the `data` of a Secret."""
    texts = {name: _decoded(data.get(name)) for name in (*_names("tls"), *_names("serving"))}
    serving = _pair(texts["tls.crt"], texts["tls.key"])
    serving = serving or _pair(texts["serving.crt"], texts["serving.key"])
    return Material(
        serving,
        _pair(_decoded(data.get("next.crt")), _decoded(data.get("next.key"))),
        _decoded(data.get("ca.crt")),
        _decoded(data.get("ca.key")),
    )


def write(material: Material) -> dict[str, bytes | None]:
    """Every key that is ours with its bytes; None for one that must go."""
    serving, upcoming = material.serving, material.upcoming
    certificate = serving.certificate if serving else None
    key = serving.key if serving else None
    return {
        "tls.crt": certificate,
        "tls.key": key,
        "serving.crt": certificate,
        "serving.key": key,
        "ca.crt": material.authorities or None,
        "ca.key": material.authority_key or None,
        "next.crt": upcoming.certificate if upcoming else None,
        "next.key": upcoming.key if upcoming else None,
    }


def merge(data: Mapping[str, object], material: Material) -> dict[str, object]:
    """The `data` of a Secret with the material in it and foreign keys kept."""
    merged: dict[str, object] = dict(data)
    for name, value in write(material).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = encoded(value)
    return merged


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def foreign_owner(annotations: Mapping[str, Any]) -> str:
    """The annotation by which another controller says that it fills the Secret; empty if none."""
    return next((name for name in annotations if name.startswith(_FOREIGN_MARK)), "")


def _names(stem: str) -> tuple[str, str]:
    return f"{stem}.crt", f"{stem}.key"


def _pair(certificate: bytes, key: bytes) -> Pair | None:
    return Pair(certificate, key) if certificate and key else None


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
