"""The subset of the protobuf wire format that the kubelet's responses use: strings and messages.

A protobuf runtime would be larger than the four messages justify. Unknown fields are skipped, as
the format requires; a field that does not decode makes the whole response invalid.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_MAX_FIELDS = 1 << 17  # of one message; a node has no more pods, and a plugin no more devices


class DecodeError(ValueError):
    """Bytes that are not a valid message."""


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each length-delimited field, in order; other fields are skipped.

    Raises:
        DecodeError: at the first invalid field, after the fields before it were yielded.
    """
    at = count = 0
    while at < len(data):
        count += 1
        if count > _MAX_FIELDS:
            raise DecodeError("too many fields")
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise DecodeError("field number 0")
        if kind == _VARINT:
            _, at = _varint(data, at)
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise DecodeError(f"wire type {kind}")
        end = at + size
        if end > len(data):
            raise DecodeError("a field ends after its message")
        if kind == _BYTES:
            yield number, data[at:end]
        at = end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise DecodeError("a number ends after its message")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DecodeError("a number of more than ten bytes")


def text(content: bytes) -> str:
    """A string field."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise DecodeError("a string that is not UTF-8") from None
