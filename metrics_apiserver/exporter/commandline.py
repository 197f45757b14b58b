"""argparse that names every fault of a command line at once, as the server's own flags do.

Somebody who mends a manifest needs one start for it, not one for each fault. argparse gives up at
the first, so each flag with its value is judged alone before all of them are read together.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NoReturn


class WrongFlags(Exception):
    """A command line that cannot be used.

    Attributes:
        faults: one sentence for each, in the order of the words.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and end the process."""

    def error(self, message: str) -> NoReturn:
        """A fault.

        Raises:
            WrongFlags: always.
        """
        raise WrongFlags([message.removeprefix("argument ")])


def read(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """The values of all flags.

    Raises:
        WrongFlags: with every fault.
        SystemExit: 0 after --help and --version.
    """
    faults: list[str] = []
    for group in _by_flag(words):
        try:
            parser.parse_args(group)
        except WrongFlags as wrong:
            faults += wrong.faults
    if faults:
        raise WrongFlags(faults)
    return parser.parse_args(words)


def _by_flag(words: Sequence[str]) -> Iterator[list[str]]:
    """Each flag with the words that may be its value."""
    group: list[str] = []
    for word in words:
        if group and (word.startswith("--") or "=" in group[0]):
            yield group
            group = []
        group.append(word)
    if group:
        yield group
