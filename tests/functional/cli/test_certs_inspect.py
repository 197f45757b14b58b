"""`certs inspect`: files, a server, a Secret, APIServices."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.certs.pair_files import PairFiles
from tests.fakes import certificates, commands, pki
from tests.fakes.certificates import HOSTS, NAMES
from tests.fakes.commands import Ran, Terminal
from tests.fakes.kubeapi import FakeKubeAPI

AUTHORITY, OTHER = pki.authority("ours"), pki.authority("other")
LEAF = pki.server(AUTHORITY, *HOSTS)


def write(directory: Path, leaf: pki.Certified = LEAF, ca: bytes = AUTHORITY.pem) -> PairFiles:
    where = PairFiles(directory / "tls.crt", directory / "tls.key")
    where.certificate.write_bytes(leaf.pem)
    where.key.touch(mode=0o600)
    where.key.write_bytes(leaf.key_pem)
    (directory / "ca.crt").write_bytes(ca)
    return where


async def run(*words: str) -> Ran:
    return await asyncio.to_thread(Terminal().run, "inspect", *words)


async def test_a_directory(tmp_path: Path) -> None:
    write(tmp_path)
    ran = await run(str(tmp_path), "--service=s.monitoring")
    assert ran.code == 0
    for text in (
        f"{tmp_path}/ca.crt:",
        f"{tmp_path}/tls.crt:",
        "subject   CN=s.monitoring.svc",
        "names     s.monitoring.svc, s.monitoring",
        "issuer    CN=ours",
        "days left",
        "ECDSA on secp256r1",
        "chain     verified for s.monitoring.svc by CN=ours",
        "key file  fits",
    ):
        assert text in ran.out
    assert "PRIVATE" not in ran.out
    assert "BAD" not in ran.out


@pytest.mark.parametrize(
    ("leaf", "ca", "words", "said"),
    [
        (LEAF, OTHER.pem, (), "BAD: not verified"),
        (LEAF, AUTHORITY.pem, ("--service=t.n",), "BAD: not verified for t.n.svc"),
        (pki.server(AUTHORITY, *HOSTS, days=pki.Days(-9, -1)), AUTHORITY.pem, (), "expired"),
        (pki.server(AUTHORITY, *HOSTS, days=pki.Days(1, 9)), AUTHORITY.pem, (), "not yet"),
    ],
)
async def test_what_is_bad(
    tmp_path: Path, leaf: pki.Certified, ca: bytes, words: tuple[str, ...], said: str
) -> None:
    where = write(tmp_path, leaf, ca)
    ran = await run(str(where.certificate), *words)
    assert ran.code == 1
    assert said in ran.out


async def test_a_key_that_is_another_s_or_open_to_all(tmp_path: Path) -> None:
    where = write(tmp_path)
    where.key.write_bytes(OTHER.key_pem)
    ran = await run(str(where.certificate))
    assert "BAD: the key is not the certificate's" in ran.out
    write(tmp_path)
    where.key.chmod(0o644)
    assert "BAD: " in (await run(str(where.certificate))).out


async def test_a_given_authority(tmp_path: Path) -> None:
    where = write(tmp_path, ca=OTHER.pem)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(AUTHORITY.pem)
    ran = await run(str(where.certificate), f"--ca={bundle}")
    assert ran.code == 0


async def test_what_is_no_certificate(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    path.write_text("x")
    ran = await run(str(path))
    assert ran.code == 1
    assert "no PEM certificate" in ran.out
    (tmp_path / "empty").mkdir()
    assert (await run(str(tmp_path / "empty"))).code == 2
    assert (await run(str(tmp_path / "absent"))).code == 1


@asynccontextmanager
async def serving(where: PairFiles) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where.certificate, where.key)

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_what_a_server_shows(tmp_path: Path) -> None:
    async with serving(write(tmp_path)) as place:
        ran = await run(f"--connect={place}", f"--ca={tmp_path}/ca.crt", "--service=s.monitoring")
        assert ran.code == 0
        assert "verified for s.monitoring.svc by CN=ours" in ran.out
        (tmp_path / "ca.crt").write_bytes(OTHER.pem)
        ran = await run(f"--connect={place}", f"--ca={tmp_path}/ca.crt")
        assert ran.code == 1
    assert (await run(f"--connect={place}")).code == 1


async def test_whether_api_services_trust_what_is_served(
    kubeapi: FakeKubeAPI, tmp_path: Path
) -> None:
    cluster = (
        f"--kubeconfig={commands.write_kubeconfig(kubeapi, tmp_path)}",
        f"--apiservices={','.join(NAMES)}",
    )
    async with serving(write(tmp_path)) as place:
        for name in NAMES:
            certificates.set_bundle(kubeapi, name, OTHER.pem + AUTHORITY.pem)
        ran = await run(f"--connect={place}", *cluster)
        assert ran.code == 0
        verdict = f"what {place} serves is verified for s.monitoring.svc by CN=ours"
        assert ran.out.count(verdict) == 2
        assert "trusts    CN=other" in ran.out
        certificates.set_bundle(kubeapi, NAMES[1], OTHER.pem)
        ran = await run(f"--connect={place}", *cluster)
        assert ran.code == 1
        assert "is not verified for s.monitoring.svc" in ran.out


@pytest.mark.parametrize(
    ("spec", "said"),
    [({}, "no caBundle"), ({"insecureSkipTLSVerify": True}, "verifies nothing")],
)
async def test_api_services_that_trust_nobody_or_everybody(
    tmp_path: Path, spec: dict[str, Any], said: str
) -> None:
    async with certificates.kubeapi(**spec) as fake:
        path = commands.write_kubeconfig(fake, tmp_path)
        ran = await run(f"--kubeconfig={path}", f"--apiservices={NAMES[0]}")
    assert ran.code == 1
    assert said in ran.out


async def test_a_secret(kubeapi: FakeKubeAPI, tmp_path: Path) -> None:
    words = (
        f"--kubeconfig={commands.write_kubeconfig(kubeapi, tmp_path)}",
        "--secret=monitoring/serving-cert",
    )
    assert "no serving pair" in (await run(*words)).out
    pair = {"tls.crt": LEAF.pem, "tls.key": LEAF.key_pem, "ca.crt": AUTHORITY.pem}
    certificates.set_secret(kubeapi, {**pair, "next.crt": LEAF.pem, "next.key": LEAF.key_pem})
    ran = await run(*words, f"--apiservices={NAMES[0]}")
    assert "the pair of Secret monitoring/serving-cert is not verified" in ran.out
    assert "to be served next" in ran.out
    certificates.set_bundle(kubeapi, NAMES[0], AUTHORITY.pem)
    assert (await run(*words, f"--apiservices={NAMES[0]}")).code == 0


async def test_a_secret_that_is_not_there(kubeapi: FakeKubeAPI, tmp_path: Path) -> None:
    path = commands.write_kubeconfig(kubeapi, tmp_path)
    ran = await run(f"--kubeconfig={path}", "--secret=monitoring/absent")
    assert ran.code == 1
    assert "404" in ran.err
