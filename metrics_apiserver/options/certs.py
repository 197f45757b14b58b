"""The settings of `certs issue`, `certs publish` and `certs inspect`, with their flags.

A command reads its words into a Parsed by its table of `TABLES`, and makes its settings of that by
`issue`, `publish` or `inspect`, which refuse with everything that is wrong at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metrics_apiserver.base import settings as declared
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Flag, Parsed
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag, group
from metrics_apiserver.options.certificates import (
    API_SERVICES,
    INTERVAL,
    SECRET,
    SERVICE,
    CertificateSettings,
    PairSettings,
)
from metrics_apiserver.options.commands import FORMAT

_WHAT = "What to inspect"

_KUBECONFIG = Flag(
    "kubeconfig", "string", "", "kubeconfig; empty: the pod's service account", "Cluster"
)
_DRY_RUN = Flag(
    "dry-run", "bool", False, "write nothing; print manifests, the keys left out", "Output"
)


@dataclass(frozen=True, slots=True)
class IssueSettings(SettingsGroup):
    """What `certs issue` makes, and where it puts it."""

    pair: PairSettings = group(PairSettings)
    hosts: tuple[str, ...] = flag("host", [], "more DNS names and IP addresses", group="Names")
    directory: str = flag(
        "directory", "certs", "directory of the files; a CA found there signs", group="Output"
    )
    new_ca: bool = flag("new-ca", False, "create a new CA even if there is one", group="Output")
    output: str = flag(
        "output",
        "files",
        "files, or yaml: print manifests with their keys",
        group="Output",
        shorthand="o",
        choices=("files", "yaml"),
    )
    with_ca_key: bool = flag(
        "with-ca-key",
        False,
        "put the CA's key into the Secret's manifest too",
        group="Output",
    )
    dry_run: bool = filled_by(_DRY_RUN)

    def validate(self) -> Iterator[tuple[str, str]]:
        """Manifests are of objects that have names."""
        if self.output == "yaml" and not (self.pair.secret or self.pair.api_services):
            yield "output", "yaml needs {pair.secret} or {pair.api_services} to print"


@dataclass(frozen=True, slots=True)
class PublishedCertificates(CertificateSettings):
    """Certificates that somebody waits for."""

    interval_seconds: float = filled_by(
        replace(INTERVAL, default=10.0, help="interval of reads while waiting")
    )


@dataclass(frozen=True, slots=True)
class PublishSettings(SettingsGroup):
    """What `certs publish` puts where."""

    kubeconfig: str = filled_by(_KUBECONFIG)
    certificates: CertificateSettings = group(PublishedCertificates)
    directory: str = flag(
        "directory", "", "publish tls.crt, tls.key and ca.crt of this directory", group="Rotation"
    )
    rotate: str = flag(
        "rotate",
        "",
        "replace what is not due yet: pair or authority",
        group="Rotation",
        choices=("pair", "authority"),
    )
    wait: bool = flag("wait", True, "wait until a rotation is over", group="Rotation")
    output: str = flag(
        "output",
        "",
        "yaml: print the keys too, with --dry-run",
        group="Output",
        shorthand="o",
        choices=("yaml",),
    )
    dry_run: bool = filled_by(_DRY_RUN)

    def validate(self) -> Iterator[tuple[str, str]]:
        """A pair comes from one place; keys are printed only where nothing is written."""
        if self.rotate and self.directory:
            yield "rotate", "cannot be used together with {directory}"
        if self.output and not self.dry_run:
            yield "output", "has a meaning only with {dry_run}"


def _connect(place: str) -> Iterator[str]:
    host, _, port = place.rpartition(":")
    if place and not (host and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
        yield "must be HOST:PORT"


@dataclass(frozen=True, slots=True)
class InspectSettings(SettingsGroup):
    """What `certs inspect` reads, beside files."""

    connect: str = flag(
        "connect",
        "",
        "HOST:PORT of a server whose certificate is inspected",
        group=_WHAT,
        check=_connect,
    )
    service: str = filled_by(
        replace(SERVICE, help="NAME.NAMESPACE that a certificate must be valid for", group=_WHAT)
    )
    ca: str = flag(
        "ca", "", "PEM bundle to verify with; by default ca.crt beside a file", group=_WHAT
    )
    secret: str = filled_by(
        replace(SECRET, help="NAMESPACE/NAME of a Secret to inspect", group=_WHAT)
    )
    api_services: tuple[str, ...] = filled_by(
        replace(
            API_SERVICES, help="APIServices whose caBundle must verify what is found", group=_WHAT
        )
    )
    kubeconfig: str = filled_by(_KUBECONFIG)
    output: str = filled_by(FORMAT)

    @property
    def host(self) -> str:
        """The name that certificates must be valid for; empty when none is asked for."""
        return PairSettings(service=self.service).hosts[0] if self.service else ""


ISSUE = declared.table(IssueSettings)
PUBLISH = declared.table(PublishSettings)
INSPECT = declared.table(InspectSettings)
TABLES = {"issue": ISSUE, "publish": PUBLISH, "inspect": INSPECT}


def issue(parsed: Parsed) -> IssueSettings:
    """What `certs issue` is to do.

    Raises:
        errors.ConfigError: flags that cannot be used.
    """
    return declared.build(IssueSettings, parsed)


def publish(parsed: Parsed) -> PublishSettings:
    """What `certs publish` is to do.

    Raises:
        errors.ConfigError: flags that cannot be used.
    """
    return declared.build(PublishSettings, parsed)


def inspect(parsed: Parsed) -> InspectSettings:
    """What `certs inspect` is to do.

    Raises:
        errors.ConfigError: flags that cannot be used, or nothing to inspect.
    """
    made = declared.build(InspectSettings, parsed, takes_arguments=True)
    if not (parsed.positional or made.connect or made.secret or made.api_services):
        nothing = Diagnostic("name files, --connect, --secret or --apiservices", path="arguments")
        raise ConfigError("command line", (nothing,))
    return made
