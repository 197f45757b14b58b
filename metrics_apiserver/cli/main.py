"""The dispatcher: finds the command that the words name, runs it and gives the exit code.

`serve` is the default command, so that the predecessor's command lines work as they are, its
literal first argument `/adapter` included (the charts pass it). Its start imports neither click nor
rich: every other command stands on them, and only those import them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from metrics_apiserver.base import errors, streams
from metrics_apiserver.cli import serve

COMPLETION_VARIABLE = "_METRICS_APISERVER_COMPLETE"
_OF_THE_PROGRAM = (["--help"], ["-h"], ["--version"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code: 0 done, 1 failed, 2 wrong input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["/adapter"]:
        del words[0]
    return streams.run(lambda: _run_reporting(words))


def _run_reporting(words: list[str]) -> int:
    """Runs the command; what cannot be used is printed, each diagnostic on a line."""
    try:
        return _run(words)
    except* errors.ConfigError as group:
        for error in group.exceptions:
            sys.stderr.write(f"{error}\n")
    return 2


def _run(words: list[str]) -> int:
    if _is_serve(words):
        return serve.run(words[1:] if words[:1] == ["serve"] else words)
    # Imported late: `serve` starts without click and rich.
    from metrics_apiserver.cli import commands

    return commands.run(words)


def _is_serve(words: list[str]) -> bool:
    """Flags before a command, or no command at all, mean `serve`; a completing shell names none."""
    if COMPLETION_VARIABLE in os.environ:
        return False
    if not words or words[0] == "serve":
        return True
    return words[0].startswith("-") and words not in _OF_THE_PROGRAM
