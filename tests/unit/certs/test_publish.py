"""Objects read, written and printed."""

from __future__ import annotations

import base64
import binascii

import pytest

from metrics_apiserver.certs import publish
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.publish import Name
from metrics_apiserver.certs.rotation import Published
from metrics_apiserver.certs.secret import PRIVATE, Material

MATERIAL = Material(Pair(b"C", b"K"), Pair(b"C2", b"K2"), b"CA", b"CAK")
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": "n", "resourceVersion": "7", "labels": {"a": "b"}},
    "type": "Opaque",
    "data": {"other": "eA=="},
}


def test_a_secret_keeps_everything_but_our_data() -> None:
    written = publish.secret_with(SECRET, MATERIAL)
    assert publish.read_secret(written) == MATERIAL
    assert {**written, "data": None} == {**SECRET, "data": None}
    assert written["data"]["other"] == "eA=="
    assert publish.read_secret({"data": None}) == Material()


def test_the_owner_of_a_secret() -> None:
    name = "cert-manager.io/issuer-name"
    assert publish.foreign_owner({"metadata": {"annotations": {name: "x"}}}) == name
    assert publish.foreign_owner(SECRET) == publish.foreign_owner({}) == ""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"caBundle": "Q0E="}, Published("x", b"CA")),
        ({"caBundle": ""}, Published("x")),
        ({"caBundle": "!"}, Published("x")),
        ({"insecureSkipTLSVerify": True}, Published("x", unverified=True)),
        (None, Published("x")),
    ],
)
def test_what_an_api_service_says(spec: object, expected: Published) -> None:
    assert publish.read_api_service("x", {"spec": spec}) == expected


@pytest.mark.parametrize(
    ("place", "host", "ours"),
    [
        ({"namespace": "n", "name": "s", "port": 443}, "s.n.svc", True),
        ({"namespace": "m", "name": "s"}, "s.m.svc", False),
        ({}, "", False),
        (None, "", False),
    ],
)
def test_where_an_api_service_leads(place: object, host: str, ours: bool) -> None:
    item = {"spec": {"service": place}}
    assert publish.host_of(item) == host
    assert publish.leads_to(item, Name("n", "s")) is ours


def test_an_api_service_verifies_from_then_on() -> None:
    before = {"metadata": {"resourceVersion": "3"}, "spec": {"group": "g"}, "status": {}}
    skipping = {**before, "spec": {"group": "g", "insecureSkipTLSVerify": True}}
    for item in (before, skipping):
        written = publish.api_service_with(item, b"CA")
        assert written == {**before, "spec": {"group": "g", "caBundle": "Q0E="}}
    assert skipping["spec"] == {"group": "g", "insecureSkipTLSVerify": True}


def test_a_manifest_to_apply() -> None:
    manifest = publish.secret_manifest(Name("n", "s"), MATERIAL, redacted=False)
    assert publish.read_secret(manifest) == MATERIAL
    assert manifest["metadata"] == {"name": "s", "namespace": "n"}


def test_a_manifest_without_keys_cannot_be_applied() -> None:
    manifest = publish.secret_manifest(Name("n", "s"), MATERIAL, redacted=True)
    assert {name for name, value in manifest["data"].items() if value == publish.REDACTED} == (
        PRIVATE
    )
    with pytest.raises(binascii.Error):
        base64.b64decode(publish.REDACTED, validate=True)
    assert base64.b64decode(manifest["data"]["ca.crt"]) == b"CA"


def test_manifests_of_api_services_hold_one_field() -> None:
    [one] = publish.api_service_manifests(["v1.g"], b"CA")
    assert one["metadata"] == {"name": "v1.g"}
    assert one["spec"] == {"caBundle": "Q0E="}


def test_names_read_as_kubectl_writes_them() -> None:
    assert str(Name("n", "s")) == "n/s"
