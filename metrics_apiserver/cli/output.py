"""Where and how a command prints: text to a pipe, colours and tables on a terminal, or JSON.

What goes to a pipe is plain, one fact a line, and never wrapped. rich decides what a terminal is
and honours NO_COLOR; its markup and highlighting stay off, since the text may come from a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import orjson
import yaml
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.certs.inspection import InspectionLine

_SOURCE_BYTES = 4 << 20
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines
_STYLES = {"error": "bold red", "warning": "bold yellow", "info": "bold"}


def say(line: str) -> None:
    """A line of the result, at once."""
    click.echo(line)


def remark(line: str) -> None:
    """A line that is not part of the result, such as progress."""
    click.echo(line, err=True)


def write_json(value: dict[str, Any]) -> None:
    """One indented JSON object; bytes of a file's name that are not UTF-8 are escaped."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


def write_manifests(documents: Iterable[dict[str, Any]]) -> None:
    """Objects as YAML documents."""
    text = yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)
    click.echo(text, nl=False)


def write_inspection(title: str, lines: Iterable[InspectionLine]) -> None:
    """A block of lines; failed checks stand out."""
    console = terminal()
    if console is None:
        say(f"{title}:")
        for line in lines:
            say(f"  {line.about:<10}{'' if line.good else 'BAD: '}{line.text}")
        return
    console.print(Text(f"{_printable(title)}:", "bold"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    for line in lines:
        text = Text(_printable(line.text))
        bad = Text.assemble(("BAD: ", "bold red"), text)
        table.add_row(Text(f"  {line.about}", "dim"), text if line.good else bad)
    console.print(table)


def terminal(*, err: bool = False) -> Console | None:
    """The console of a stream that is a terminal; None where it is a pipe or a file."""
    console = Console(stderr=err, markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else None


def as_json(diagnostic: Diagnostic, file: str) -> dict[str, Any]:
    """A diagnostic with its place; 0 and "" stand for what is not known."""
    return {
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "file": file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "path": diagnostic.path,
        "message": diagnostic.message,
        "cure": diagnostic.cure,
    }


def write_diagnostic(diagnostic: Diagnostic, file: str) -> None:
    """One diagnostic on stderr; on a terminal with the line of the file."""
    console = terminal(err=True)
    if console is None:
        prefix = "" if diagnostic.severity == "error" else f"{diagnostic.severity}: "
        click.echo(f"{prefix}{diagnostic.render(file)}", err=True)
        return
    style = _STYLES[diagnostic.severity]
    place = f"{file}:{diagnostic.line}" if diagnostic.line else file
    if diagnostic.line and diagnostic.column:
        place = f"{place}:{diagnostic.column}"
    code = f"[{diagnostic.code}]" if diagnostic.code else ""
    head = Text.assemble((f"{place}: ", "bold"), (f"{diagnostic.severity}{code}: ", style))
    path = f"{diagnostic.path}: " if diagnostic.path else ""
    console.print(head.append(_printable(f"{path}{diagnostic.message}")), soft_wrap=True)
    line = _source_line(file, diagnostic.line)
    if line is not None:
        console.print(_excerpt(line, diagnostic, console.width, style))
    if diagnostic.cure:
        console.print(f"  {_printable(diagnostic.cure)}", soft_wrap=True)


def _source_line(file: str, number: int) -> str | None:
    """A line of a file, by its number from 1; None where it cannot be read."""
    if not number:
        return None
    try:
        with Path(file).open("rb") as source:
            text = source.read(_SOURCE_BYTES).decode(errors="replace")
    except OSError:
        return None
    lines = _LINE_BREAK.split(text)
    return _printable(lines[number - 1]) if number <= len(lines) else None


def _excerpt(line: str, diagnostic: Diagnostic, width: int, style: str) -> Text:
    """The line behind its number and, where the column is known, a caret under that."""
    gutter = f"{diagnostic.line:>5} | "
    room = max(width - len(gutter) - 1, 20)
    at = diagnostic.column - 1
    start = at - room // 2 if at > room // 2 and cell_len(line) > room else 0
    shown = Text(line[start:], no_wrap=True)
    shown.truncate(room, overflow="ellipsis")
    text = Text.assemble((gutter, "dim"), shown, no_wrap=True)
    if 0 <= at <= len(line):
        indent = " " * cell_len(line[start:at])
        text.append(f"\n{' ' * 5} | ", "dim").append(f"{indent}^", style)
    return text


def _printable(text: str) -> str:
    """Without control characters; of the same length, so that columns stay."""
    return "".join(
        character if character.isprintable() else " " if character == "\t" else "\ufffd"
        for character in text
    )
