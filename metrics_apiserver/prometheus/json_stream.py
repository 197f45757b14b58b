"""Parses a long JSON array while it arrives, within bounds of memory and time per step.

A Prometheus answer is one object around one long array of objects. Once a slice of bytes is here,
the complete elements in it are cut off at the last `},{` outside any string, and orjson parses
them as an array of their own. The rest is parsed at the end behind the beginning of the answer,
so every byte passes a strict parser exactly once. The cut is exact: an element list that is cut
elsewhere does not parse, because JSON's state after a prefix is unique; such an answer is kept
whole and parsed at the end. orjson holds the interpreter lock while it works, so a thread would
not help: a slice, small enough for the cache, is under a millisecond of work instead.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

SLICE_BYTES = 64 * 1024

_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|\},\{', re.DOTALL)
# Replaces elements that were taken out, to show at the end that they came from the right array.
_TAKEN = b"0,"


class JsonArrayStream:
    """Takes bytes, returns parsed array elements early and the rest of the document at the end.

    Attributes:
        taken: True once elements were given before the end.
    """

    def __init__(self, slice_bytes: int = SLICE_BYTES) -> None:
        self._slice_bytes = slice_bytes
        self._parts: list[bytes] = []
        self._held = 0
        self._head: bytes | None = None
        self._whole = False
        self.taken = False

    def feed(self, chunk: bytes) -> list[Any]:
        """Elements that are complete now; empty while a slice is filling up.

        Args:
            chunk: next bytes of the answer, any length.
        """
        self._parts.append(chunk)
        self._held += len(chunk)
        if self._whole or self._held < self._slice_bytes:
            return []
        elements = self._cut(b"".join(self._parts))
        if elements is None:
            self._whole = True
            return []
        self.taken = True
        return elements

    def finish(self) -> Any:
        """The document with the elements not given yet.

        If elements were given before, the array they came from begins with the number 0 in
        their place.

        Raises:
            orjson.JSONDecodeError: the answer as a whole is no JSON.
        """
        head = self._head or b""
        if self.taken:
            head += _TAKEN
        document, self._parts = b"".join((head, *self._parts)), []
        return orjson.loads(document)

    def _cut(self, buffer: bytes) -> list[Any] | None:
        """Parses all complete elements in `buffer` and keeps the rest; None if there are none."""
        start = 0
        if self._head is None:
            start = buffer.find(b"[{") + 1
            if start == 0:
                return None
        end = _last_boundary(buffer, start)
        if end == 0:
            return None
        try:
            elements: list[Any] = orjson.loads(b"[%b]" % buffer[start:end])
        except orjson.JSONDecodeError:
            return None
        if self._head is None:
            self._head = buffer[:start]
        rest = buffer[end + 1 :]
        self._parts, self._held = [rest], len(rest)
        return elements


def _last_boundary(buffer: bytes, start: int) -> int:
    """Offset after the last element of `buffer[start:]` that another one follows; 0 if none.

    `start` is where an element begins, so outside any string.
    """
    cut = buffer.rfind(b"},{", start)
    if cut < 0:
        return 0
    if _outside_string(buffer[start:cut]):
        return cut + 1
    # A label value holds the separator: walk over the strings instead.
    end = 0
    for token in _TOKENS.finditer(buffer, start):
        if token[0] == b"},{":
            end = token.start() + 1
    return end


def _outside_string(text: bytes) -> bool:
    """Whether a text that began outside any string ends outside: its bare quotes are even."""
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    return text.count(b'"') % 2 == 0
