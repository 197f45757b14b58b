"""How the demos print, at most 80 columns wide: questions, commands to copy, answers and tables."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

WIDTH = 80
_BOLD, _DIM, _PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def heading(text: str) -> None:
    print(f"\n{_BOLD}{text}{_PLAIN}\n", flush=True)


def plain(text: str) -> None:
    """Text whose long lines are folded, with what follows indented further."""
    for line in text.splitlines():
        print("\n".join(fold(line)))
    sys.stdout.flush()


def note(text: str) -> None:
    for line in text.splitlines():
        print(f"{_DIM}{line}{_PLAIN}")
    sys.stdout.flush()


def command(text: str) -> None:
    """A command as one would type it; a long one has its last word on a second line."""
    line = f"  $ {text}"
    if len(line) > WIDTH:
        start, _, end = text.rpartition(" ")
        line = f"  $ {start} \\\n      {end}"
    print(f"{_BOLD}{line}{_PLAIN}\n", flush=True)


def answer(document: Any) -> None:
    """A JSON document, indented."""
    for line in json.dumps(document, indent=2, ensure_ascii=False).splitlines():
        print(f"  {line}")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their heads: the first column to the left, the others to the right."""
    first, *others = table_lines(head, rows)
    print("\n".join((f"{_BOLD}{first}{_PLAIN}", *others)), flush=True)


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'   '.join(cells)}".rstrip())
    return lines


def fold(line: str) -> list[str]:
    """The line in pieces of at most WIDTH columns; all but the first are indented by four more."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, drop_whitespace=True) or [""]
