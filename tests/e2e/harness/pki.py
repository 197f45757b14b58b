"""Certificates and kubeconfigs of a test environment, by trustme.

One CA for clients of kube-apiserver, one for the front proxy, one for the server under test: the
tests of forged callers check that the server does not confuse them.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.fakes import kubeconfig


@dataclass(frozen=True)
class Pair:
    """A certificate and its key as PEM files."""

    certificate: Path
    key: Path


def issue(
    authority: trustme.CA, directory: Path, name: str, *, user: str = "", group: str = ""
) -> Pair:
    """Writes NAME.crt and NAME.key, good for a server on loopback and for a client.

    Args:
        authority: who signs.
        directory: where the files go.
        name: file name, and a further DNS name of the certificate.
        user: common name, which is the user of a client certificate; the name by default.
        group: organisation, which is the group of a client certificate.
    """
    leaf = authority.issue_cert(
        name.replace(":", "-"),
        "localhost",
        "127.0.0.1",
        common_name=user or name,
        organization_name=group or None,
    )
    pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    pair.key.touch(mode=0o600)
    leaf.private_key_pem.write_to_path(str(pair.key))
    leaf.cert_chain_pems[0].write_to_path(str(pair.certificate))
    return pair


def write_authority(authority: trustme.CA, path: Path) -> Path:
    """Writes the CA's certificate."""
    authority.cert_pem.write_to_path(str(path))
    return path


def client_context(authority: Path, pair: Pair | None = None) -> ssl.SSLContext:
    """Trusts one CA and shows the pair's certificate, if any."""
    context = ssl.create_default_context(cafile=str(authority))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def write_kubeconfig(
    path: Path,
    url: str,
    authority: Path,
    *,
    pair: Pair | None = None,
    token_file: Path | None = None,
) -> Path:
    """Writes a kubeconfig of one user, by certificate or by a token file that may change."""
    user: dict[str, str] = {}
    if pair is not None:
        user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    if token_file is not None:
        user["tokenFile"] = str(token_file)
    path.touch(mode=0o600)
    path.write_bytes(kubeconfig.document(url, user, certificate_authority=str(authority)))
    return path
