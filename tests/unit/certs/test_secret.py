"""The content of the Secret, there and back."""

from __future__ import annotations

import base64

import pytest

from metrics_apiserver.certs import secret
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.secret import Material

FULL = Material(Pair(b"C", b"K"), Pair(b"C2", b"K2"), b"CA", b"CAK")


def encode(**values: str) -> dict[str, object]:
    return {
        key.replace("_", "."): base64.b64encode(value.encode()).decode()
        for key, value in values.items()
    }


def test_there_and_back() -> None:
    data = secret.merge({}, FULL)
    assert secret.read(data) == FULL
    assert data["serving.crt"] == data["tls.crt"]
    assert data["serving.key"] == data["tls.key"]


def test_what_is_gone_goes_and_what_is_foreign_stays() -> None:
    data = secret.merge({**secret.merge({}, FULL), "note": "eA=="}, Material(FULL.serving))
    assert set(data) == {"tls.crt", "tls.key", "serving.crt", "serving.key", "note"}


def test_the_names_of_older_manifests_are_read() -> None:
    found = secret.read(encode(serving_crt="C", serving_key="K"))
    assert found.serving == Pair(b"C", b"K")
    both = secret.read(encode(serving_crt="O", serving_key="O", tls_crt="C", tls_key="K"))
    assert both.serving == Pair(b"C", b"K")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"tls.crt": "!", "tls.key": "!"},
        {"tls.crt": 1, "tls.key": None},
        {"tls.crt": "QQ==", "tls.key": ""},
        {"tls.crt": "QQ"},
    ],
)
def test_what_is_no_pair_is_absent(data: dict[str, object]) -> None:
    assert secret.read(data) == Material()


def test_no_key_shows() -> None:
    assert "K" not in repr(FULL).replace("authority_key", "")


def test_every_key_of_a_key_is_private() -> None:
    assert {name for name in secret.write(FULL) if name.endswith(".key")} == secret.PRIVATE


def test_the_owner() -> None:
    name = "cert-manager.io/certificate-name"
    assert secret.foreign_owner({"a": "b", name: "x"}) == name
    assert secret.foreign_owner({"a": "b"}) == ""
