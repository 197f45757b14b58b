"""The command: reads flags, prints, exits. Nothing else in the package prints or exits.

`metrics-apiserver serve` is the default command, so that the predecessor's command lines work as
they are, its literal first argument `/adapter` included (the charts pass it).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from metrics_apiserver import __version__
from metrics_apiserver.base import errors, flags, logs
from metrics_apiserver.options import serve, validate
from metrics_apiserver.options.settings import ServeSettings

USAGE = """\
metrics-apiserver serves custom, external and resource metrics from Prometheus to Kubernetes.

Usage:
  metrics-apiserver [serve] --config=FILE [flags]   run the server
  metrics-apiserver check FILE...                   judge rule files; exit code 2 on a fault
  metrics-apiserver certs COMMAND [flags]           issue, publish, inspect certificates
  metrics-apiserver exporter [flags]                run the NVML exporter (extra [gpu])
  metrics-apiserver version                         print the version

`metrics-apiserver serve --help` lists the flags.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code: 0 done, 1 failed, 2 wrong input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] == "/adapter":
        words.pop(0)
    command = "serve"
    if words and not words[0].startswith("-"):
        command = words.pop(0)
    elif words in (["--help"], ["-h"]):
        print(USAGE, end="")
        return 0
    elif words == ["--version"]:
        command = "version"
    try:
        return _run(command, words)
    except* errors.ConfigError as group:
        # One fault or many: every file and flag that cannot be used is named at once.
        for error in group.exceptions:
            print(error, file=sys.stderr)
    return 2


def _run(command: str, words: list[str]) -> int:
    if command == "serve":
        return _serve(words)
    if command == "check":
        return _check(words)
    if command == "certs":
        return _certs(words)
    if command == "exporter":
        return _exporter(words)
    if command == "version":
        print(f"metrics-apiserver {__version__}")
        return 0
    print(f"unknown command {command!r}\n\n{USAGE}", end="", file=sys.stderr)
    return 2


def _serve(words: list[str]) -> int:
    if "--help" in words or "-h" in words:
        print(f"{USAGE}\n{flags.render_help(serve.TABLE)}")
        return 0
    settings = _settings(words)
    logs.configure(settings.verbosity, settings.log_format)
    # Imported late: judging flags and rule files needs no server.
    from metrics_apiserver import app

    return app.run(settings)


def _settings(words: list[str]) -> ServeSettings:
    """What the flags of `serve` mean.

    Raises:
        ExceptionGroup: of errors.ConfigError: the flags', and those of the rule file they name.
    """
    try:
        return validate.build(flags.parse(serve.TABLE, words, serve.SHORTHANDS))
    except errors.ConfigError as error:
        raise ExceptionGroup("start refused", [error, *_judge_rules(words)]) from None


def _judge_rules(words: list[str]) -> list[errors.ConfigError]:
    """Faults of the rule file, so that they need no further start to be seen."""
    from metrics_apiserver.provider import reload

    named = [word.partition("=")[2] for word in words if word.startswith("--config=")]
    named += [value for flag, value in pairwise(words) if flag == "--config"]
    try:
        for path in named[-1:]:
            reload.load(Path(path))
    except errors.ConfigError as error:
        return [error]
    return []


def _certs(words: list[str]) -> int:
    # Imported late: it needs clients of kube-apiserver, which judging flags does not.
    from metrics_apiserver.cli import certs
    from metrics_apiserver.cli.output import Streams

    return certs.run(words, Streams(sys.stdout, sys.stderr))


def _exporter(words: list[str]) -> int:
    # Imported late: what the exporter needs is in the extra [gpu] only.
    from metrics_apiserver.exporter import cli as exporter

    return exporter.main(words)


def _check(words: list[str]) -> int:
    from metrics_apiserver.core.bulk import report
    from metrics_apiserver.provider import reload

    if "--help" in words or "-h" in words:
        print(USAGE, end="")
        return 0
    if not words or any(word.startswith("-") for word in words):
        print("usage: metrics-apiserver check FILE...", file=sys.stderr)
        return 2
    code = 0
    for word in words:
        try:
            _, rules = reload.load(Path(word))
        except errors.ConfigError as error:
            print(error, file=sys.stderr)
            code = 2
            continue
        for warning in rules.warnings:
            print(f"warning: {warning.render(word)}", file=sys.stderr)
        parts = [f"{len(rules.rules)} rules", f"{len(rules.external_rules)} external rules"]
        if rules.resource_rules is not None:
            parts.append("resource rules")
        print(f"{word}: good: {', '.join(parts)}")
        for one in report.judge(rules):
            how = "one query for all" if one.reason is None else f"each read asks: {one.reason}"
            print(f"  {one.path}: {how}")
    return code
