"""`certs inspect`: describes certificates, and checks that the clients of each trust it.

Inspects files, the chain that a server presents, a Secret, and the `caBundle` of APIServices. The
exit code is 1 when any check fails.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metrics_apiserver.base import files
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.certs import ca_bundle, inspection, pair_files, peer, publish
from metrics_apiserver.certs.inspection import InspectionLine
from metrics_apiserver.cli import output
from metrics_apiserver.cli.flag_command import FlagCommand
from metrics_apiserver.options import certs
from metrics_apiserver.options.certs import InspectSettings

CONNECT_SECONDS = 10.0
_API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


@dataclass(slots=True)
class _Inspection:
    """What was found so far.

    Attributes:
        host: the name that certificates must be valid for; empty for any.
        is_json: whether what is found is printed at the end, as JSON.
        served: PEM chains by their place; the APIServices must trust them.
        found: each block of lines under its title.
    """

    now: dt.datetime
    host: str
    is_json: bool
    served: dict[str, bytes] = field(default_factory=dict)
    found: list[tuple[str, Sequence[InspectionLine]]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every check passed."""
        return all(line.good for _, lines in self.found for line in lines)

    def report(self, title: str, lines: Sequence[InspectionLine]) -> None:
        self.found.append((title, lines))
        if not self.is_json:
            output.write_inspection(title, lines)

    def as_json(self) -> dict[str, Any]:
        """Everything that was found."""
        return {
            "ok": self.good,
            "found": [
                {
                    "title": title,
                    "lines": [
                        {"about": one.about, "text": one.text, "ok": one.good} for one in lines
                    ],
                }
                for title, lines in self.found
            ],
        }

    def certificates(self, title: str, pem: bytes, checks: Sequence[InspectionLine] = ()) -> None:
        """A block for each certificate of a PEM text, with the checks under the first."""
        found = ca_bundle.authorities(pem)
        if not found:
            self.report(title, [InspectionLine("found", "no PEM certificate", good=False)])
        for number, certificate in enumerate(found):
            place = f"{title} [{number}]" if number else title
            described = inspection.describe(certificate, self.now)
            self.report(place, [*described, *(checks if number == 0 else ())])


def run(parsed: Parsed) -> int:
    """Inspects and prints; the exit code.

    Raises:
        errors.ConfigError: flags or a kubeconfig that cannot be used.
        errors.KubeError: the cluster refused or could not be reached.
        OSError: a file cannot be read, or a server cannot be reached.
    """
    settings = certs.inspect(parsed)
    now = dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
    inspected = _Inspection(now, settings.host, settings.output == "json")
    bundle = files.read(Path(settings.ca)) if settings.ca else b""
    for path in _files(parsed.positional):
        _inspect_file(inspected, path, bundle)
    if settings.connect:
        presented = _connect(settings.connect, settings.host)
        inspected.served[f"what {settings.connect} serves"] = presented
        checks = [inspection.check_chain(presented, bundle, now, settings.host)] if bundle else []
        inspected.certificates(settings.connect, presented, checks)
    if settings.secret or settings.api_services:
        asyncio.run(_inspect_cluster(inspected, settings))
    if inspected.is_json:
        output.write_json(inspected.as_json())
    return 0 if inspected.good else 1


def _files(words: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for word in words:
        path = Path(word)
        found += sorted(path.glob("*.crt")) if path.is_dir() else [path]
    if words and not found:
        diagnostic = Diagnostic("hold no file called *.crt", path=" ".join(words))
        raise ConfigError("command line", (diagnostic,))
    return found


def _inspect_file(inspected: _Inspection, path: Path, bundle: bytes) -> None:
    pem = files.read(path)
    checks: list[InspectionLine] = []
    beside = path.with_name("ca.crt")
    if not bundle and beside.exists():
        bundle = files.read(beside)
    if bundle and path != beside:
        checks.append(inspection.check_chain(pem, bundle, inspected.now, inspected.host))
    key = path.with_suffix(".key")
    if key.exists():
        checks.append(inspection.check_key(pem, files.read(key)))
        if exposure := pair_files.exposure(key):
            checks.append(InspectionLine("key file", exposure, good=False))
    inspected.certificates(str(path), pem, checks)


def _connect(place: str, host: str) -> bytes:
    """The chain that a server presents, PEM; it is not verified, and no request is sent."""
    name, _, port = place.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    target = (name.strip("[]"), int(port))
    with (
        socket.create_connection(target, CONNECT_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host or name) as tls,
    ):
        presented = peer.peer_chain(tls)
    return inspection.chain_of(presented.certificates) if presented is not None else b""


async def _inspect_cluster(inspected: _Inspection, settings: InspectSettings) -> None:
    # Imported late: the official client takes half a second, which files need not wait for.
    from metrics_apiserver.cli.cluster import Cluster

    async with Cluster(settings.kubeconfig) as client:
        if settings.secret:
            namespace, _, name = settings.secret.partition("/")
            item = await client.get_json(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            _inspect_secret(inspected, settings.secret, item)
        for name in settings.api_services:
            _inspect_api_service(inspected, name, await client.get_json(f"{_API_SERVICES}/{name}"))


def _inspect_secret(inspected: _Inspection, name: str, item: publish.Object) -> None:
    material = publish.read_secret(item)
    if material.serving is None:
        inspected.report(f"Secret {name}", [InspectionLine("found", "no serving pair", good=False)])
        return
    served = material.serving
    inspected.served[f"the pair of Secret {name}"] = served.certificate
    checks = [inspection.check_key(served.certificate, served.key)]
    if material.authorities:
        checks.append(
            inspection.check_chain(
                served.certificate, material.authorities, inspected.now, inspected.host
            )
        )
    inspected.certificates(f"Secret {name}", served.certificate, checks)
    if material.upcoming is not None:
        inspected.certificates(f"Secret {name}, to be served next", material.upcoming.certificate)


def _inspect_api_service(inspected: _Inspection, name: str, item: publish.Object) -> None:
    published = publish.read_api_service(name, item)
    lines: list[InspectionLine] = []
    host = inspected.host or publish.host_of(item)
    if published.unverified:
        lines.append(InspectionLine("trust", "insecureSkipTLSVerify: verifies nothing", good=False))
    elif not ca_bundle.authorities(published.bundle):
        lines.append(InspectionLine("trust", "no caBundle: system authorities only", good=False))
    for authority in ca_bundle.authorities(published.bundle):
        lines += [
            InspectionLine("trusts", authority.subject.rfc4514_string()),
            *(f for f in inspection.describe(authority, inspected.now) if f.about == "valid"),
        ]
    for place, served in inspected.served.items() if not published.unverified else ():
        verdict = inspection.check_chain(served, published.bundle, inspected.now, host)
        lines.append(InspectionLine("verdict", f"{place} is {verdict.text}", verdict.good))
    inspected.report(f"APIService {name}", lines)


command = FlagCommand(
    "inspect",
    certs.INSPECT,
    run,
    description="""\
Describe certificates, and check that they are valid and trusted.

Inspects files and, with flags, what a server presents, a Secret, and APIServices. The exit code is
1 when any check fails.
""",
    arguments="[FILE|DIRECTORY]...",
)
