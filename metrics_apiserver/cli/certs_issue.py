"""`certs issue`: an authority and a serving pair, as files or as manifests.

An authority that lies in the directory signs again, so that nothing that trusts it has to change.
Files are written whole or not at all, keys with mode 0600 from the first instant.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics_apiserver.base import files
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.certs import ca_bundle, inspection, pair, pair_files, publish
from metrics_apiserver.certs.issue import KeyAlgorithm, Pair
from metrics_apiserver.certs.pair_files import PairFiles
from metrics_apiserver.certs.publish import Name
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import PairSource
from metrics_apiserver.cli import output
from metrics_apiserver.cli.flag_command import FlagCommand
from metrics_apiserver.options import certs
from metrics_apiserver.options.certs import IssueSettings


@dataclass(frozen=True, slots=True)
class Issued:
    """What was made.

    Attributes:
        authority: the one that signed.
        serving: the pair.
        is_new: whether the authority is of now.
    """

    authority: Pair
    serving: Pair
    is_new: bool


def authority_files(directory: Path) -> PairFiles:
    """Where an authority lies."""
    return PairFiles(directory / "ca.crt", directory / "ca.key")


def serving_files(directory: Path) -> PairFiles:
    """Where a serving pair lies."""
    return PairFiles(directory / "tls.crt", directory / "tls.key")


def make_source(settings: IssueSettings) -> PairSource:
    """What makes pairs as the flags say."""
    wanted = settings.pair
    return PairSource(
        tuple(dict.fromkeys((*wanted.hosts, *settings.hosts))),
        KeyAlgorithm(wanted.key_algorithm),
        dt.timedelta(seconds=wanted.lifetime_seconds),
        dt.timedelta(seconds=wanted.authority_lifetime_seconds),
    )


def run(parsed: Parsed) -> int:
    """Issues and prints; the exit code.

    Raises:
        errors.ConfigError: flags or an authority that cannot be used.
        OSError: files that cannot be read or written.
    """
    settings = certs.issue(parsed)
    now = dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
    try:
        issued = _issue(settings, now)
    except ValueError as error:
        # An invalid name: only --host is not checked by its flag.
        raise _error(str(error), "--host") from None
    is_named = settings.pair.secret or settings.pair.api_services
    if settings.output == "yaml" or (settings.dry_run and is_named):
        redacted = settings.output != "yaml"
        output.write_manifests(_manifests(settings, issued, redacted=redacted))
    if settings.output == "files":
        _write(Path(settings.directory), issued, dry=settings.dry_run)
        chain = ca_bundle.authorities(issued.serving.certificate)
        if not settings.dry_run:
            output.write_inspection("tls.crt", inspection.describe(chain[0], now))
    return 0


def _issue(settings: IssueSettings, now: dt.datetime) -> Issued:
    source = make_source(settings)
    found = None
    if not settings.new_ca:
        found = _find_authority(authority_files(Path(settings.directory)), now)
    authority = found or source.new_authority(now)
    return Issued(authority, source.sign(authority, now), found is None)


def _find_authority(where: PairFiles, now: dt.datetime) -> Pair | None:
    """The authority in the directory; None when there is none.

    Raises:
        errors.ConfigError: there is one that cannot sign.
    """
    advice = "--new-ca makes another"
    try:
        found = Pair(files.read(where.certificate), files.read(where.key))
    except FileNotFoundError:
        return None
    try:
        pair.inspect(found.certificate, found.key)
    except pair.PairRefused as error:
        raise _error(f"{where.certificate} and its key cannot sign: {error}; {advice}") from None
    first = ca_bundle.authorities(found.certificate)[0]
    if not ca_bundle.is_valid_at(first, now):
        raise _error(f"{where.certificate} is not valid now; {advice}")
    return Pair(ca_bundle.join([first]), found.key)


def _error(text: str, flag: str = "--directory") -> ConfigError:
    return ConfigError("command line", (Diagnostic(text, path=flag),))


def _write(directory: Path, issued: Issued, *, dry: bool) -> None:
    verb = "would write" if dry else "wrote"
    pairs = [(serving_files(directory), issued.serving)]
    if issued.is_new:
        pairs.insert(0, (authority_files(directory), issued.authority))
    for where, made in pairs:
        if not dry:
            pair_files.write_pair(where, made)
        output.remark(f"{verb} {where.certificate} and {where.key}")


def _manifests(settings: IssueSettings, issued: Issued, *, redacted: bool) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    wanted = settings.pair
    if wanted.secret:
        key = issued.authority.key if settings.with_ca_key else b""
        material = Material(issued.serving, None, issued.authority.certificate, key)
        name = Name(wanted.secret_namespace, wanted.secret_name)
        documents.append(publish.secret_manifest(name, material, redacted=redacted))
    bundle = issued.authority.certificate
    return [*documents, *publish.api_service_manifests(wanted.api_services, bundle)]


command = FlagCommand(
    "issue",
    certs.ISSUE,
    run,
    description="""\
Issue a CA and a serving certificate, as files or manifests.

A CA that is already in the directory signs the new certificate.

Needs --service=NAME.NAMESPACE.
""",
)
