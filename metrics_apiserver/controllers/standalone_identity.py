"""Standalone mode's identity: an authority of the process's own, made anew at each start.

The serving pair and the one client certificate that may ask for everything are signed by it; the
kubeconfig that carries them is written with mode 0600. Everything is refused beyond loopback
(validated with the flags), so the authority never has to be trusted by anybody else.
"""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import yaml

from metrics_apiserver.certs import issue, pair_files
from metrics_apiserver.certs.issue import Pair, Subject, Usage
from metrics_apiserver.kube.requestheader import AuthenticationConfig

LIFETIME = dt.timedelta(days=365)
USER = "standalone"


@dataclass(frozen=True, slots=True)
class Identity:
    """What standalone mode serves with and believes.

    Attributes:
        pair_paths: the serving pair's files.
        authority: PEM bundle that signed both pairs.
        trust: clients of `authority`, and no front proxy.
        client: certificate and key of the one client, a member of system:masters.
    """

    pair_paths: pair_files.PairFiles
    authority: bytes
    client: Pair
    trust: AuthenticationConfig

    def authentication(self) -> AuthenticationConfig:
        """The trust of standalone mode, which never changes."""
        return self.trust


def make_identity(directory: Path, address: str, now: dt.datetime) -> Identity:
    """Issues everything and writes the serving pair into `directory`.

    Args:
        directory: for the serving pair.
        address: that is listened on, named by the serving certificate beside `localhost`.
        now: the beginning of validity.

    Raises:
        OSError: the directory cannot be written.
    """
    authority = issue.new_authority("metrics-apiserver-standalone", LIFETIME, now)
    hosts = tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", address)))
    serving = issue.new_leaf(
        authority,
        Subject("localhost", hosts=hosts),
        [Usage.SERVER],
        now + LIFETIME,
        now,
    )
    client = issue.new_leaf(
        authority, Subject(USER, ("system:masters",)), [Usage.CLIENT], now + LIFETIME, now
    )
    pair_paths = pair_files.PairFiles(directory / "serving.crt", directory / "serving.key")
    pair_files.write_pair(pair_paths, serving)
    trust = AuthenticationConfig(client_ca=authority.certificate, generation=1)
    return Identity(pair_paths, authority.certificate, client, trust)


def write_kubeconfig(path: Path, server: str, identity: Identity) -> None:
    """Writes a kubeconfig with which kubectl may ask everything.

    Raises:
        OSError: the file cannot be written.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": USER,
        "clusters": [
            {
                "name": USER,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _text(identity.authority),
                },
            }
        ],
        "users": [
            {
                "name": USER,
                "user": {
                    "client-certificate-data": _text(identity.client.certificate),
                    "client-key-data": _text(identity.client.key),
                },
            }
        ],
        "contexts": [{"name": USER, "context": {"cluster": USER, "user": USER}}],
    }
    pair_files.write(path, yaml.safe_dump(document, sort_keys=False).encode(), pair_files.KEY_MODE)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
