"""Standard streams that are closed, full, or cannot show a character: the same for every program.

A service manager may start a process without them, `head` closes a pipe early, a disk fills up, and
a file name may hold bytes that are no text. None of these is a reason for a traceback.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def run(command: Callable[[], int]) -> int:
    """Runs a program and gives its exit code; 1 on an interrupt, or when output is refused."""
    _prepare()
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 1
    except OSError as error:
        if not is_refused_output(error):
            raise
        if not isinstance(error, BrokenPipeError):
            _say(f"output: {error.strerror}\n")
        _discard()
        return 1
    return code


def is_refused_output(error: OSError) -> bool:
    """Whether it says that a stream takes no more: its reader is gone, or the disk is full."""
    return isinstance(error, BrokenPipeError) or (error.filename is None and error.errno in _FULL)


def _prepare() -> None:
    """Gives closed streams a place, and lets text with any character pass."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - it stays open
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(line: str) -> None:
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        return  # nobody can be told


def _discard() -> None:
    """What is still buffered must not fail again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
