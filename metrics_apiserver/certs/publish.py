"""The Secret and the APIServices as JSON objects: decoding, and the objects to write.

An object to write is the one that was read, with only our fields changed and its `resourceVersion`
kept: kube-apiserver refuses it if it was written in between. Objects to
print are complete manifests for `kubectl apply --server-side`; with their keys left out they are
made so that applying them fails.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.certs import secret
from metrics_apiserver.certs.rotation import Published
from metrics_apiserver.certs.secret import Material

Object = dict[str, Any]

REDACTED = "<redacted>"


@dataclass(frozen=True, slots=True)
class Name:
    """A namespaced name, written as kubectl does."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def read_secret(item: Object) -> Material:
    """The material in a Secret."""
    return secret.read(_mapping(item.get("data")))


def foreign_owner(item: Object) -> str:
    """The annotation by which another controller owns the Secret; empty when none does."""
    return secret.foreign_owner(_mapping(_mapping(item.get("metadata")).get("annotations")))


def secret_with(item: Object, material: Material) -> Object:
    """The Secret to write."""
    return {**item, "data": secret.merge(_mapping(item.get("data")), material)}


def read_api_service(name: str, item: Object) -> Published:
    """The trust settings of an APIService; a `caBundle` that is no base64 reads as empty."""
    spec = _mapping(item.get("spec"))
    try:
        bundle = base64.b64decode(str(spec.get("caBundle") or ""), validate=True)
    except (binascii.Error, ValueError):
        bundle = b""
    return Published(name, bundle, spec.get("insecureSkipTLSVerify") is True)


def leads_to(item: Object, service: Name) -> bool:
    """Whether an APIService is served by this Service; others are never written."""
    place = _mapping(_mapping(item.get("spec")).get("service"))
    return (place.get("namespace"), place.get("name")) == (service.namespace, service.name)


def host_of(item: Object) -> str:
    """The host name that kube-apiserver verifies; empty for a local APIService."""
    place = _mapping(_mapping(item.get("spec")).get("service"))
    return f"{place['name']}.{place['namespace']}.svc" if place.get("name") else ""


def api_service_with(item: Object, bundle: bytes) -> Object:
    """The APIService to write; it verifies from then on."""
    spec = {k: v for k, v in _mapping(item.get("spec")).items() if k != "insecureSkipTLSVerify"}
    return {**item, "spec": {**spec, "caBundle": secret.encoded(bundle)}}


def secret_manifest(name: Name, material: Material, *, redacted: bool) -> Object:
    """A Secret to print."""
    data = {}
    for key, value in secret.write(material).items():
        if value is not None:
            hidden = redacted and key in secret.PRIVATE
            data[key] = REDACTED if hidden else secret.encoded(value)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name.name, "namespace": name.namespace},
        "data": data,
    }


def api_service_manifests(names: Iterable[str], bundle: bytes) -> list[Object]:
    """For each APIService the one field that is ours, to print."""
    return [
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {"caBundle": secret.encoded(bundle)},
        }
        for name in names
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
