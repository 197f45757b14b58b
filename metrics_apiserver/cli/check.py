"""`check`: validates rule files without a cluster or Prometheus.

Every diagnostic of every file is shown, and of each valid file how its queries are evaluated: in
bulk, one query for all objects, or a query for each read, and why. The exit code is 2 when a file
cannot be used; warnings do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.table import Table
from rich.text import Text

from metrics_apiserver.base import errors
from metrics_apiserver.base import settings as declared
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.cli import output
from metrics_apiserver.cli.flag_command import FlagCommand
from metrics_apiserver.core.bulk import report
from metrics_apiserver.core.bulk.report import QueryEvaluation
from metrics_apiserver.core.rules import config, yamlload
from metrics_apiserver.core.rules.model import RuleFile
from metrics_apiserver.core.rules.querycheck import Dialect
from metrics_apiserver.options.commands import CheckSettings
from metrics_apiserver.provider import reload

_HELP = """\
Validate rule files without a cluster or Prometheus.

The exit code is 0 when all of them can be used, and 2 with every error of every file.
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is to say about one file.

    Attributes:
        file: as it was named.
        diagnostics: errors, or the warnings of a valid file.
        rules: None where the file cannot be used.
        bulk: how each query is evaluated.
    """

    file: str
    diagnostics: tuple[Diagnostic, ...]
    rules: RuleFile | None = None
    bulk: tuple[QueryEvaluation, ...] = ()


def run(parsed: Parsed) -> int:
    """Validates and prints; the exit code.

    Raises:
        errors.ConfigError: flags that cannot be used, or no file.
    """
    if not parsed.positional:
        parsed.diagnostics.append(Diagnostic("name one rule file or more", path="arguments"))
    settings = declared.build(CheckSettings, parsed, takes_arguments=True)
    dialect = cast("Dialect", settings.dialect)
    checked = [check(file, dialect) for file in parsed.positional]
    if settings.output == "json":
        output.write_json({"files": [_as_json(one) for one in checked]})
    else:
        for one in checked:
            _write(one)
    return 0 if all(one.rules is not None for one in checked) else 2


def check(file: str, dialect: Dialect = "promql") -> Checked:
    """Validates one file."""
    try:
        rules = _load(file, dialect)
    except errors.ConfigError as error:
        return Checked(file, error.diagnostics)
    warnings = rules.warnings
    return Checked(file, warnings, rules, tuple(report.build(rules)))


def _load(file: str, dialect: Dialect) -> RuleFile:
    """The rules of a file, a pipe (`<(kubectl get …)`) or, as `-`, of standard input.

    Raises:
        errors.ConfigError: they cannot be read or used.
    """
    path = Path("/dev/stdin" if file == "-" else file)
    try:
        text = _read_pipe(path)
    except OSError:  # which reading it as a file says in the words of `serve`
        text = None
    if text is None:
        return reload.load(path, dialect=dialect)[1]
    return config.parse(text, file, dialect=dialect)


def _read_pipe(path: Path) -> bytes | None:
    """What comes out of a pipe; None of anything else."""
    if not path.is_fifo():
        return None
    with path.open("rb") as pipe:
        return pipe.read(yamlload.MAX_BYTES + 1)


def _as_json(checked: Checked) -> dict[str, Any]:
    rules = checked.rules
    return {
        "file": checked.file,
        "ok": rules is not None,
        "rules": None
        if rules is None
        else {
            "custom": len(rules.rules),
            "external": len(rules.external_rules),
            "resource": rules.resource_rules is not None,
        },
        "diagnostics": [output.as_json(one, checked.file) for one in checked.diagnostics],
        "bulk": [
            {"rule": one.path, "bulk": one.reason is None, "reason": one.reason or ""}
            for one in checked.bulk
        ],
    }


def _write(checked: Checked) -> None:
    for diagnostic in checked.diagnostics:
        output.write_diagnostic(diagnostic, checked.file)
    rules = checked.rules
    if rules is None:
        return
    parts = [f"{len(rules.rules)} rules", f"{len(rules.external_rules)} external rules"]
    if rules.resource_rules is not None:
        parts.append("resource rules")
    console = output.terminal()
    summary = ", ".join(parts)
    if console is None:
        output.say(f"{checked.file}: valid: {summary}")
        for one in checked.bulk:
            output.say(f"  {one.path}: {_evaluation(one)}")
        return
    head = Text.assemble((f"{checked.file}: ", "bold"), ("valid", "green"), f": {summary}")
    console.print(head, soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    for one in checked.bulk:
        table.add_row(f"  {one.path}", Text(_evaluation(one), "" if one.reason else "green"))
    console.print(table)


def _evaluation(one: QueryEvaluation) -> str:
    if one.reason is None:
        return "bulk: one query for all objects"
    return f"a query for each read: {one.reason}"


command = FlagCommand(
    "check", declared.table(CheckSettings), run, description=_HELP, arguments="FILE..."
)
