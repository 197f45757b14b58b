"""Kinds of values on the exporter's command line: durations, addresses, labels, lists of words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def seconds(text: str) -> float:
    """Such as 500ms, 1s, 10m or 1h; a bare number means seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 1s or 10m")
    return float(match[1]) * _UNITS[match[2]]


def interval(text: str) -> float:
    """A duration that ticks can have."""
    found = seconds(text)
    if not 0.1 <= found <= 60:
        raise argparse.ArgumentTypeError("must lie between 100ms and 60s")
    return found


def address(text: str) -> tuple[str, int]:
    """Host and port; an empty host means all addresses."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as :9445 or 127.0.0.1:9445")
    return host.removeprefix("[").removesuffix("]"), int(port)


def pair(text: str) -> tuple[str, str]:
    """A label's name and its value."""
    name, equals, value = text.partition("=")
    if not equals or _LABEL.fullmatch(name) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no label such as NodePoolId=np1")
    return name, value


def words(known: Sequence[str]) -> type[argparse.Action]:
    """An action for a list of words with commas between them, out of the known ones."""

    class Words(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: argparse.Namespace,
            values: object,
            option_string: str | None = None,
        ) -> None:
            words = [word for word in str(values).split(",") if word]
            unknown = [word for word in words if word not in known]
            if unknown:
                text = f"{option_string}: {unknown[0]!r} is not one of {', '.join(known)}"
                parser.error(text)
            setattr(namespace, self.dest, frozenset(words))

    return Words
