"""Flags as people read them: the text of --help, and values as one writes them.

Flags stand by group, in the order of their declaration, with their defaults. Those without a
meaning stand last, by name only.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

from metrics_apiserver.base.flags import Flag

_WIDE_COLUMNS, _NARROW_COLUMN, _WIDE_COLUMN = 110, 26, 48
_GLUE = "\0"


def terminal_width() -> int:
    """Columns of the terminal; 0 where there is none."""
    return shutil.get_terminal_size((0, 0)).columns


def render_help(table: Iterable[Flag], width: int = 0) -> str:
    """The flags by group.

    Args:
        table: the flags.
        width: columns to wrap lines at; 0 for none.
    """
    groups: dict[str, list[Flag]] = {}
    ignored: list[str] = []
    for flag in table:
        if flag.ignored:
            ignored.append(f"--{flag.name}")
        else:
            groups.setdefault(flag.group, []).append(flag)
    lines: list[str] = []
    for group, members in groups.items():
        lines.append(f"\n{group}:")
        for flag in members:
            lines += _render(flag, width)
    if ignored:
        lines.append("\nAccepted for drop-in use, without a meaning here:")
        lines += [f"  {name}" for name in sorted(ignored)]
    return "\n".join(lines).lstrip("\n")


def _render(flag: Flag, width: int) -> list[str]:
    short = f"-{flag.shorthand}, " if flag.shorthand else ""
    value = "" if flag.kind == "bool" else f" {value_name(flag)}"
    head = f"  {short}--{flag.name}{value}"
    text = f"{flag.help}{shown_default(flag)}"
    if not width:
        return [f"{head:<{_WIDE_COLUMN}} {text}"]
    column = _WIDE_COLUMN if width >= _WIDE_COLUMNS else _NARROW_COLUMN
    # The default is not broken over lines.
    glued = f"{flag.help}{shown_default(flag).replace(' ', _GLUE).replace(_GLUE, ' ', 1)}"
    wrapped = textwrap.wrap(
        glued, max(width - column - 1, 20), break_long_words=False, break_on_hyphens=False
    )
    first, *rest = [line.replace(_GLUE, " ") for line in wrapped]
    lines = (
        [f"{head:<{column}} {first}"] if len(head) < column else [head, f"{'':{column}} {first}"]
    )
    return lines + [f"{'':{column}} {line}" for line in rest]


def value_name(flag: Flag) -> str:
    """What stands for a value."""
    return flag.placeholder or ("duration" if flag.kind == "seconds" else flag.kind)


def shown_default(flag: Flag) -> str:
    """A note of the default, with a space in front; empty where there is nothing to tell."""
    if flag.environment:
        return f" (default ${flag.environment})"
    if flag.default in ("", False, None) or flag.default == []:
        return ""
    return f" (default {format_value(flag, flag.default)})"


def format_value(flag: Flag, value: Any) -> str:
    """A value as one would write it on the command line."""
    if value is None:
        return ""
    if flag.kind in ("duration", "seconds"):
        return f"{value / 3600:g}h" if value and value % 3600 == 0 else f"{value:g}s"
    if flag.is_list:
        return ",".join(value)
    if flag.kind == "bool":
        return "true" if value else "false"
    return str(value)
