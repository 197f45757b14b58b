"""Values on the exporter's command line that have a form of their own: addresses, pages, labels.

A reader raises ValueError that says what is wrong; `each` makes a check of the members of a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

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


def path(text: str) -> str:
    """The path of a page that is not another's.

    Raises:
        ValueError: it is none.
    """
    if _PATH.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no path such as /metrics")
    if text in _OTHER_PAGES:
        raise ValueError(f"{text} is a page of its own")
    return text


def address(text: str) -> tuple[str, int]:
    """Host and port; an empty host means all addresses.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise ValueError(f"{text!r} is no address such as :9445 or 127.0.0.1:9445")
    return host.removeprefix("[").removesuffix("]"), int(port)


def pair(text: str) -> tuple[str, str]:
    """A label's name and its value.

    Raises:
        ValueError: it is none, or a label that the exporter sets itself.
    """
    name, equals, value = text.partition("=")
    if not equals or _LABEL.fullmatch(name) is None:
        raise ValueError(f"{text!r} is no label such as NodePoolId=np1")
    if name in OWN_LABELS or name.startswith("__"):
        raise ValueError(f"the label {name} is taken")
    return name, value


def each(read: Callable[[str], object]) -> Callable[[Sequence[str]], Iterator[str]]:
    """A check of a list: what the reader refuses of its members."""

    def check(texts: Sequence[str]) -> Iterator[str]:
        for text in texts:
            try:
                read(text)
            except ValueError as error:
                yield str(error)

    return check
