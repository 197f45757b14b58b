"""How the demos print: headings, commands as one would type them, answers, tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

_BOLD, _DIM, _PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
_LINES_SHOWN = 60


def heading(text: str) -> None:
    print(f"\n{_BOLD}{text}{_PLAIN}", flush=True)


def plain(text: str) -> None:
    print(text, flush=True)


def note(text: str) -> None:
    print(f"{_DIM}{text}{_PLAIN}", flush=True)


def command(text: str) -> None:
    print(f"{_BOLD}$ {text}{_PLAIN}", flush=True)


def answer(document: Any) -> None:
    """A JSON document, indented, its end left out when it is long."""
    lines = json.dumps(document, indent=2, ensure_ascii=False).splitlines()
    for line in lines[:_LINES_SHOWN]:
        print(f"  {line}")
    if len(lines) > _LINES_SHOWN:
        note(f"  ... {len(lines) - _LINES_SHOWN} more lines")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for number, row in enumerate((head, *rows)):
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        text = "  ".join(cells)
        print(f"  {_BOLD}{text}{_PLAIN}" if number == 0 else f"  {text}")
    sys.stdout.flush()
