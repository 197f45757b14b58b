"""Files count from the next use on; a broken one leaves the last good state; no secret is shown."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options.prometheus import PrometheusSettings
from metrics_apiserver.prometheus import credentials
from metrics_apiserver.prometheus.credentials import PrometheusCredentials
from tests.fakes import authorities, pki

URL = "https://prometheus.example"


def replace(path: Path, text: str) -> None:
    """As a mounted Secret changes: another file under the same name."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


class TestAuthorization:
    async def test_none(self) -> None:
        assert await credentials.from_settings(PrometheusSettings(URL)).authorization(False) == ""

    async def test_token_file(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("one\n")
        found = credentials.from_settings(PrometheusSettings(URL, token_file=str(path)))
        assert await found.authorization(False) == "Bearer one"
        replace(path, "two")
        assert await found.authorization(False) == "Bearer two"

    async def test_renewal_reads_a_file_whose_stamp_is_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("one")
        os.utime(path, (1e9, 1e9))
        found = credentials.from_settings(PrometheusSettings(URL, token_file=str(path)))
        path.write_text("two")
        os.utime(path, (1e9, 1e9))
        assert await found.authorization(False) == "Bearer one"
        assert await found.authorization(True) == "Bearer two"

    async def test_basic(self, tmp_path: Path) -> None:
        (tmp_path / "user").write_text("me\n")
        (tmp_path / "password").write_text("p:ä ss\n")
        settings = PrometheusSettings(
            URL,
            username_file=str(tmp_path / "user"),
            password_file=str(tmp_path / "password"),
        )
        found = credentials.from_settings(settings)
        scheme, _, pair = (await found.authorization(False)).partition(" ")
        assert (scheme, base64.b64decode(pair).decode()) == ("Basic", "me:p:ä ss")
        replace(tmp_path / "password", "other")
        _, _, pair = (await found.authorization(False)).partition(" ")
        assert base64.b64decode(pair) == b"me:other"

    @pytest.mark.parametrize(
        "content",
        [b"", b" \n", b"s3cret\r\nX-Injected: 1", b"s3cret\x00", b"s3cret\xff", b"s3cret" * 20_000],
    )
    def test_a_file_that_is_no_secret_is_refused_and_not_shown(
        self, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "token"
        path.write_bytes(content)
        with pytest.raises(ConfigError) as refused:
            credentials.from_settings(PrometheusSettings(URL, token_file=str(path)))
        assert str(path) in str(refused.value)
        assert "s3cret" not in str(refused.value)

    def test_a_user_name_with_a_colon_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "user").write_text("a:b")
        (tmp_path / "password").write_text("c")
        with pytest.raises(ConfigError, match="colon"):
            credentials.from_settings(
                PrometheusSettings(
                    URL,
                    username_file=str(tmp_path / "user"),
                    password_file=str(tmp_path / "password"),
                )
            )


class TestContext:
    def settings(self, directory: Path) -> PrometheusSettings:
        return PrometheusSettings(
            URL,
            ca_file=str(directory / "ca.crt"),
            client_cert_file=str(directory / "tls.crt"),
            client_key_file=str(directory / "tls.key"),
        )

    def write(self, directory: Path, ca: trustme.CA) -> None:
        ca.cert_pem.write_to_path(directory / "ca.crt")
        leaf = ca.issue_cert("client")
        replace(directory / "tls.crt", leaf.cert_chain_pems[0].bytes().decode())
        replace(directory / "tls.key", leaf.private_key_pem.bytes().decode())

    def test_one_context_until_a_file_changes(self, tmp_path: Path, ca: trustme.CA) -> None:
        self.write(tmp_path, ca)
        found = credentials.from_settings(self.settings(tmp_path))
        first = found.ssl_context()
        assert found.ssl_context() is first
        assert first.verify_mode is ssl.CERT_REQUIRED
        assert first.check_hostname
        assert first.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert len(first.get_ca_certs()) == 1
        self.write(tmp_path, trustme.CA())
        assert found.ssl_context() is not first

    @pytest.mark.parametrize("make", authorities.SERVERS)
    def test_authorities_as_installations_have_them(
        self, tmp_path: Path, make: Callable[[], authorities.Found]
    ) -> None:
        found = make()
        server = authorities.server(found)

        def context(bundle: bytes) -> ssl.SSLContext:
            (tmp_path / "ca.crt").write_bytes(bundle)
            settings = PrometheusSettings(URL, ca_file=str(tmp_path / "ca.crt"))
            return credentials.from_settings(settings).ssl_context()

        authorities.shake_hands(context(found.bundle), server)
        for host, bundle in (("elsewhere", found.bundle), ("localhost", pki.authority().pem)):
            with pytest.raises(ssl.SSLCertVerificationError):
                authorities.shake_hands(context(bundle), server, host)

    def test_a_half_written_pair_leaves_the_last_good_context(
        self, tmp_path: Path, ca: trustme.CA
    ) -> None:
        self.write(tmp_path, ca)
        found = credentials.from_settings(self.settings(tmp_path))
        first = found.ssl_context()
        leaf = ca.issue_cert("client")
        replace(tmp_path / "tls.crt", leaf.cert_chain_pems[0].bytes().decode())
        assert found.ssl_context() is first
        replace(tmp_path / "tls.key", leaf.private_key_pem.bytes().decode())
        assert found.ssl_context() is not first

    def test_system_authorities_by_default(self) -> None:
        context = credentials.from_settings(PrometheusSettings(URL)).ssl_context()
        assert context.verify_mode is ssl.CERT_REQUIRED

    def test_every_unusable_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "ca.crt").write_text("no certificate")
        settings = PrometheusSettings(
            URL, ca_file=str(tmp_path / "ca.crt"), token_file=str(tmp_path / "none")
        )
        with pytest.raises(ConfigError) as refused:
            credentials.from_settings(settings)
        assert len(refused.value.diagnostics) == 2
        assert "ca.crt" in str(refused.value)
        assert "none" in str(refused.value)

    def test_an_encrypted_key_does_not_ask_the_terminal(
        self, tmp_path: Path, ca: trustme.CA
    ) -> None:
        self.write(tmp_path, ca)
        (tmp_path / "tls.key").write_text(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
        )
        with pytest.raises(ConfigError):
            credentials.from_settings(self.settings(tmp_path))


class TestKubeconfig:
    """Files stand over what a kubeconfig says, side by side."""

    def kubeconfig(self) -> PrometheusCredentials:
        context = ssl.create_default_context()

        async def authorization(renew: bool) -> str:
            return "Bearer kube"

        return PrometheusCredentials(authorization, lambda: context)

    async def test_alone(self) -> None:
        kube = self.kubeconfig()
        found = credentials.from_settings(PrometheusSettings(URL), kube)
        assert await found.authorization(False) == "Bearer kube"
        assert found.ssl_context() is kube.ssl_context()

    async def test_a_token_file_replaces_its_token_only(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("mine")
        kube = self.kubeconfig()
        settings = PrometheusSettings(URL, token_file=str(tmp_path / "token"))
        found = credentials.from_settings(settings, kube)
        assert await found.authorization(False) == "Bearer mine"
        assert found.ssl_context() is kube.ssl_context()

    async def test_a_ca_file_replaces_its_tls_side_only(
        self, tmp_path: Path, ca: trustme.CA
    ) -> None:
        ca.cert_pem.write_to_path(tmp_path / "ca.crt")
        kube = self.kubeconfig()
        settings = PrometheusSettings(URL, ca_file=str(tmp_path / "ca.crt"))
        found = credentials.from_settings(settings, kube)
        assert await found.authorization(False) == "Bearer kube"
        assert len(found.ssl_context().get_ca_certs()) == 1
