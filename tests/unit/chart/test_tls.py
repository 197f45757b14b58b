"""Each way in which kube-apiserver can trust the server, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from metrics_apiserver.options import serve
from tests import helm
from tests.helm import Object, Refused

CA = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
BUNDLE = base64.b64encode(CA.encode()).decode()
PLACEHOLDER = "# Public CA file that signed the APIService"


def trust(objects: list[Object]) -> set[tuple[str, Any]]:
    """What the APIServices say of the certificate."""
    return {
        (key, value)
        for one in objects
        if one["kind"] == "APIService"
        for key, value in one["spec"].items()
        if key in ("caBundle", "insecureSkipTLSVerify")
    }


def arguments(objects: list[Object]) -> list[str]:
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    words: list[str] = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    return words


def mounted(objects: list[Object]) -> list[str]:
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    return [volume["secret"]["secretName"] for volume in volumes if "secret" in volume]


def injected(objects: list[Object]) -> set[str]:
    return {
        one["metadata"].get("annotations", {}).get("cert-manager.io/inject-ca-from", "")
        for one in objects
        if one["kind"] == "APIService"
    }


def test_given_in_the_values() -> None:
    tls = {"enable": True, "ca": CA, "certificate": "certificate", "key": "key"}
    objects = helm.render({"tls": tls})
    (secret,) = [one for one in objects if one["kind"] == "Secret"]
    assert secret["type"] == "kubernetes.io/tls"
    assert {key: base64.b64decode(value).decode() for key, value in secret["data"].items()} == {
        "tls.crt": "certificate",
        "tls.key": "key",
        "ca.crt": CA,
    }
    assert trust(objects) == {("caBundle", BUNDLE)}
    assert mounted(objects) == ["release-metrics-apiserver"]
    assert "--tls-cert-file=/var/run/serving-cert/tls.crt" in arguments(objects)


@pytest.mark.parametrize("lacking", ["ca", "certificate", "key"])
def test_all_three_must_be_given(lacking: str) -> None:
    tls = {"enable": True, "ca": CA, "certificate": "certificate", "key": "key"}
    with pytest.raises(Refused, match=f"tls.enable needs tls.{lacking}"):
        helm.render({"tls": {**tls, lacking: PLACEHOLDER if lacking == "ca" else ""}})


def test_a_secret_under_the_keys_of_the_gpu_documents() -> None:
    secret = {"name": "pair", "certificateKey": "serving.crt", "privateKeyKey": "serving.key"}
    objects = helm.render({"tls": {"ca": CA, "secret": secret}})
    assert mounted(objects) == ["pair"]
    assert trust(objects) == {("caBundle", BUNDLE)}
    assert {
        "--tls-cert-file=/var/run/serving-cert/serving.crt",
        "--tls-private-key-file=/var/run/serving-cert/serving.key",
    } <= set(arguments(objects))
    assert not [one for one in objects if one["kind"] == "Secret"]


def test_a_secret_whose_authority_nobody_knows_is_refused() -> None:
    with pytest.raises(Refused, match=r"authority of the Secret pair is not known"):
        helm.render({"tls": {"secret": {"name": "pair"}}})


def test_cert_manager_with_an_authority_of_its_own() -> None:
    objects = helm.render({"certManager": {"enabled": True}})
    made = {(one["kind"], one["metadata"]["name"]) for one in objects if "cert-m" in str(one)}
    name = "release-metrics-apiserver"
    assert {
        ("Issuer", f"{name}-self-signed-issuer"),
        ("Certificate", f"{name}-root-cert"),
        ("Issuer", f"{name}-root-issuer"),
        ("Certificate", f"{name}-cert"),
    } <= made
    assert injected(objects) == {f"monitoring/{name}-root-cert"}
    assert trust(objects) == set()
    assert mounted(objects) == [name]


def test_cert_manager_with_an_issuer_that_is_there() -> None:
    issuer = {"name": "company", "kind": "ClusterIssuer"}
    objects = helm.render({"certManager": {"enabled": True, "issuerRef": issuer}})
    (certificate,) = [one for one in objects if one["kind"] == "Certificate"]
    assert certificate["spec"]["issuerRef"] == issuer
    assert certificate["spec"]["dnsNames"][-1] == "release-metrics-apiserver.monitoring.svc"
    assert not [one for one in objects if one["kind"] == "Issuer"]
    assert injected(objects) == {"monitoring/release-metrics-apiserver-cert"}


def test_annotations_alone_inject_nothing() -> None:
    assert injected(helm.render({"customAnnotations": {"owner": "me"}})) == {""}


@pytest.mark.parametrize(
    ("ca", "expected"),
    [("", ("insecureSkipTLSVerify", True)), (CA, ("caBundle", BUNDLE))],
    ids=["without an authority", "with one"],
)
def test_files_that_arguments_name(ca: str, expected: tuple[str, Any]) -> None:
    given = ["--tls-cert-file=/etc/tls/tls.crt", "--tls-private-key-file=/etc/tls/tls.key"]
    objects = helm.render({"extraArguments": given, "tls": {"ca": ca}})
    assert [word for word in arguments(objects) if word.startswith("--tls")] == given
    assert trust(objects) == {expected}
    assert mounted(objects) == []


def test_unverified_only_when_it_is_asked_for() -> None:
    assert trust(helm.render()) == set()
    objects = helm.render({"tls": {"mode": "unverified"}})
    assert trust(objects) == {("insecureSkipTLSVerify", True)}
    assert "--cert-dir=/tmp/cert" in arguments(objects)


def test_the_apiservices_lead_to_the_port_of_the_service() -> None:
    objects = helm.render({"service": {"port": 8443}})
    ports = {one["spec"]["service"]["port"] for one in objects if one["kind"] == "APIService"}
    (service,) = [one for one in objects if one["kind"] == "Service"]
    assert ports == {8443} == {port["port"] for port in service["spec"]["ports"]}


def test_by_default_the_server_keeps_its_certificate_itself() -> None:
    objects = helm.render()
    name = "release-metrics-apiserver"
    assert trust(objects) == set()
    assert mounted(objects) == []
    (secret,) = [one for one in objects if one["kind"] == "Secret"]
    assert secret["metadata"]["name"] == f"{name}-serving-cert"
    assert "data" not in secret
    flags = serve.parse(arguments(objects)).certificates
    assert (flags.secret_namespace, flags.secret_name) == ("monitoring", f"{name}-serving-cert")
    assert f"{name}.monitoring.svc" in flags.hosts
    made = {one["metadata"]["name"] for one in objects if one["kind"] == "APIService"}
    assert set(flags.api_services) == made


def test_its_rights_are_on_these_objects_alone() -> None:
    objects = helm.render()
    rules = {
        (one["kind"], *rule["apiGroups"], *rule["resources"]): rule
        for one in objects
        if one["metadata"]["name"] == "metrics-apiserver-certificates" and "rules" in one
        for rule in one["rules"]
    }
    of_secrets = rules.pop(("Role", "", "secrets"))
    of_services = rules.pop(("ClusterRole", "apiregistration.k8s.io", "apiservices"))
    assert rules == {}
    assert of_secrets["resourceNames"] == ["release-metrics-apiserver-serving-cert"]
    assert of_services["resourceNames"] == [
        "v1beta1.custom.metrics.k8s.io",
        "v1beta2.custom.metrics.k8s.io",
    ]
    assert of_secrets["verbs"] == of_services["verbs"] == ["get", "update"]


def test_other_modes_have_none_of_these_rights() -> None:
    objects = helm.render({"certManager": {"enabled": True}})
    assert not [one for one in objects if one["metadata"]["name"].endswith("-certificates")]
