"""The flags of the three commands, their help, and what belongs together."""

from __future__ import annotations

from typing import Any

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Flag, Parsed
from metrics_apiserver.options.certificates import CertificateFlags

DAY = 86400.0
SHORTHANDS = {"o": "output"}
ROTATIONS = ("", "pair", "authority")


def _group(group: str, *rows: tuple[str, str, Any, str]) -> tuple[Flag, ...]:
    return tuple(Flag(name, kind, default, text, group) for name, kind, default, text in rows)


_NAMES = _group(
    "Names",
    ("service", "string", "", "NAME.NAMESPACE of the Service that the certificate names"),
    ("cluster-domain", "string", "cluster.local", "DNS domain of the cluster; may be empty"),
    ("secret", "string", "", "NAMESPACE/NAME of the Secret"),
    ("apiservices", "strings", [], "APIServices, such as v1beta1.custom.metrics.k8s.io"),
)
_KINDS = _group(
    "Keys and lifetimes",
    (
        "key-algorithm",
        "string",
        "ECDSA-P256",
        "ECDSA-P256, ECDSA-P384, RSA-2048, RSA-3072 or RSA-4096",
    ),
    ("lifetime", "duration", 365 * DAY, "how long a certificate is valid"),
    ("ca-lifetime", "duration", 3650 * DAY, "how long an authority is valid"),
)
_CLUSTER = _group(
    "Cluster",
    ("kubeconfig", "string", "", "kubeconfig; empty: the pod's service account"),
)
_DRY_RUN = ("dry-run", "bool", False, "write nothing; print manifests, the keys left out")

ISSUE = (
    *_NAMES,
    *_group(
        "Names",
        ("host", "strings", [], "further DNS names and addresses"),
    ),
    *_KINDS,
    *_group(
        "Output",
        ("directory", "string", "certs", "where files are; an authority found there signs"),
        ("new-ca", "bool", False, "make another authority although there is one"),
        ("output", "string", "files", "-o: files; yaml prints manifests with their keys"),
        ("with-ca-key", "bool", False, "put the authority's key into the Secret's manifest too"),
        _DRY_RUN,
    ),
)
PUBLISH = (
    *_CLUSTER,
    *_NAMES,
    *_KINDS,
    *_group(
        "Rotation",
        ("directory", "string", "", "publish tls.crt, tls.key and ca.crt of this directory"),
        ("rotate", "string", "", "replace what is not due yet: pair or authority"),
        ("overlap", "duration", 600.0, "how long old and new authority are trusted side by side"),
        ("interval", "duration", 10.0, "interval of looks while waiting"),
        ("wait", "bool", True, "wait until a rotation is over"),
    ),
    *_group(
        "Output",
        ("output", "string", "", "-o: yaml prints the keys too, with --dry-run"),
        _DRY_RUN,
    ),
)
INSPECT = (
    *_group(
        "What to look at",
        ("connect", "string", "", "HOST:PORT of a server whose certificate is looked at"),
        ("service", "string", "", "NAME.NAMESPACE that a certificate must be good for"),
        ("ca", "string", "", "PEM bundle to verify with; by default ca.crt beside a file"),
        ("secret", "string", "", "NAMESPACE/NAME of a Secret to look at"),
        ("apiservices", "strings", [], "APIServices whose caBundle must vouch for what is found"),
    ),
    *_CLUSTER,
    *_group("Output", ("output", "string", "text", "-o: text, or json for programs")),
)
TABLES = {"issue": ISSUE, "publish": PUBLISH, "inspect": INSPECT}


def refuse(faults: list[Diagnostic]) -> None:
    """Raises all of them at once, if there are any.

    Raises:
        errors.ConfigError: there are.
    """
    if faults:
        raise ConfigError("command line", tuple(faults))


def judge_issue(parsed: Parsed) -> CertificateFlags:
    """What `issue` was told.

    Raises:
        errors.ConfigError: it cannot be used.
    """
    values = parsed.values
    read = CertificateFlags({**values, "overlap": 0.0, "interval": 0.0})
    faults = [*read.issuing_faults(), *_positional(parsed)]
    if values["secret"] or values["apiservices"]:
        # A placeholder where only APIServices are asked for.
        named = {**values, "secret": values["secret"] or "a/b", "overlap": 0.0, "interval": 0.0}
        faults += CertificateFlags(named).publishing_faults()
    if values["output"] not in ("files", "yaml"):
        faults.append(Diagnostic("must be files or yaml", path="--output"))
    elif values["output"] == "yaml" and not (values["secret"] or values["apiservices"]):
        faults.append(Diagnostic("yaml needs --secret or --apiservices to print", path="--output"))
    refuse(faults)
    return read


def judge_publish(parsed: Parsed) -> CertificateFlags:
    """What `publish` was told.

    Raises:
        errors.ConfigError: it cannot be used.
    """
    values = parsed.values
    read = CertificateFlags(values)
    faults = [*read.faults(), *_positional(parsed)]
    if values["rotate"] not in ROTATIONS:
        faults.append(Diagnostic("must be pair or authority", path="--rotate"))
    elif values["rotate"] and values["directory"]:
        faults.append(Diagnostic("cannot be used together with --directory", path="--rotate"))
    if values["output"] not in ("", "yaml"):
        faults.append(Diagnostic("must be yaml", path="--output"))
    elif values["output"] and not values["dry-run"]:
        faults.append(Diagnostic("has a meaning only with --dry-run", path="--output"))
    refuse(faults)
    return read


def judge_inspect(parsed: Parsed) -> str:
    """The host that certificates must be good for; empty when none is named.

    Raises:
        errors.ConfigError: the flags cannot be used.
    """
    values = parsed.values
    read = CertificateFlags(
        {
            **values,
            "service": values["service"] or "a.b",
            "secret": values["secret"] or "a/b",
            "cluster-domain": "",
            "key-algorithm": "ECDSA-P256",
            **dict.fromkeys(("lifetime", "ca-lifetime", "overlap", "interval"), 1.0),
        }
    )
    service = [fault for fault in read.issuing_faults() if fault.path == "--service"]
    faults = [*service, *read.publishing_faults()]
    host, colon, port = values["connect"].rpartition(":")
    if values["connect"] and not (host and colon and port.isdecimal() and int(port) < 65536):
        faults.append(Diagnostic("must be HOST:PORT", path="--connect"))
    if values["output"] not in ("text", "json"):
        faults.append(Diagnostic("must be text or json", path="--output"))
    named = values["connect"] or values["secret"] or values["apiservices"]
    if not named and not parsed.positional:
        faults.append(
            Diagnostic("name files, --connect, --secret or --apiservices", path="arguments")
        )
    refuse(faults)
    return read.hosts()[0] if values["service"] else ""


def _positional(parsed: Parsed) -> list[Diagnostic]:
    return [
        Diagnostic(f"unexpected argument {word!r}", path="arguments") for word in parsed.positional
    ]
