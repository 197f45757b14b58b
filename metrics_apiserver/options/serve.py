"""The command line of `serve`: the flags of its settings, and the predecessor's without a meaning.

Words follow pflag's grammar, so that the predecessor's command lines work as they are. Its flags
that mean nothing here are read, checked for their form, and named in the log once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metrics_apiserver.base import flags
from metrics_apiserver.base import settings as declared
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.options.settings import ServeSettings

# What `--standalone` means for flags that were not given.
_STANDALONE: dict[str, Any] = {
    "bind-address": "127.0.0.1",
    "secure-port": 6443,
    "prometheus-url": "http://127.0.0.1:9090",
    "metrics-relist-interval": 10.0,
    "config": str(Path(__file__).with_name("standalone.yaml")),
}


def _ignored(kind: str, *names: str) -> Iterator[Flag]:
    default: Any = {"bool": False, "strings": []}.get(kind, "")
    for name in names:
        yield Flag(name, kind, default, "accepted, without a meaning here", "Ignored", ignored=True)


IGNORED = (
    *_ignored(
        "string",
        *(
            f"audit-{sink}-{name}"
            for sink in ("log", "webhook")
            for name in [
                "batch-buffer-size",
                "batch-max-size",
                "batch-max-wait",
                "batch-throttle-burst",
                "batch-throttle-qps",
                "mode",
                "truncate-max-batch-size",
                "truncate-max-event-size",
                "version",
            ]
        ),
        *["audit-log-format", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize"],
        *["audit-log-path", "audit-policy-file", "audit-webhook-config-file"],
        "audit-webhook-initial-backoff",
        *["client-qps", "client-burst", "debug-socket-path", "http2-max-streams-per-connection"],
        *["log-flush-frequency", "vmodule", "log-dir", "log-file", "log-file-max-size"],
        *["log-backtrace-at", "stderrthreshold", "tls-sni-cert-key"],
    ),
    *_ignored(
        "bool",
        *["audit-log-batch-throttle-enable", "audit-log-compress", "audit-log-truncate-enabled"],
        *["audit-webhook-batch-throttle-enable", "audit-webhook-truncate-enabled"],
        *["authentication-tolerate-lookup-failure", "contention-profiling", "disable-http2"],
        *["enable-priority-and-fairness", "permit-address-sharing", "permit-port-sharing"],
        *["profiling", "logtostderr", "alsologtostderr", "add-dir-header", "one-output"],
        *["skip-headers", "skip-log-headers"],
    ),
)

TABLE: tuple[Flag, ...] = (*declared.table(ServeSettings), *IGNORED)


def parse(words: Sequence[str]) -> ServeSettings:
    """The settings that a command line means.

    Raises:
        errors.ConfigError: it cannot be used; everything that is wrong is named.
    """
    parsed = flags.parse(TABLE, words)
    if parsed.values["standalone"]:
        defaults = {name: value for name, value in _STANDALONE.items() if name not in parsed.given}
        parsed.values |= defaults
    ignored = {flag.name for flag in IGNORED}
    given = dict.fromkeys(name for name in parsed.given if name in ignored)
    return replace(declared.build(ServeSettings, parsed), ignored_flags=tuple(given))
