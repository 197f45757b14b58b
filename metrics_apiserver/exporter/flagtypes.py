"""Kinds of values on the exporter's command line: durations, addresses, labels, lists of words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PATH = re.compile(r"(?:/[\w.-]+)+")
_OTHER_PAGES = ("/snapshot.json", "/healthz", "/readyz")

# What DCGM_* series carry already; a second label of the name would spoil the whole scrape.
_TAKEN = """
gpu UUID uuid pci_bus_id device modelName GPU_I_PROFILE GPU_I_ID Hostname hostname NodeName
DCGM_FI_DRIVER_VERSION DriverVersion container namespace pod container_name pod_namespace
pod_name ContainerName NamespaceName PodName AllocateMode ProcessId ProcessName ProcessType
window_size_in_ms xid clock_event
"""
OWN_LABELS = frozenset(_TAKEN.split())


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


def window(text: str) -> float:
    """A duration that values can be averaged over, within what a window can hold."""
    found = seconds(text)
    if not 1 <= found <= 300:
        raise argparse.ArgumentTypeError("must lie between 1s and 5m")
    return found


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def path(text: str) -> str:
    """Of a page that is not another's."""
    if _PATH.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no path such as /metrics")
    if text in _OTHER_PAGES:
        raise argparse.ArgumentTypeError(f"{text} is a page of its own")
    return text


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
    if name in OWN_LABELS or name.startswith("__"):
        raise argparse.ArgumentTypeError(f"the label {name} is taken")
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
