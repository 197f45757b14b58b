r"""Go string literals: what `%q` writes and what Go's `strconv.Unquote` reads.

PromQL literals, template constants and Kubernetes error texts are all Go string literals, so there
is one writer and one reader of them. A JSON or `repr` encoder would not do: surrogate pairs and
`\x85` mean something else to Go. Text that came from bytes that are not UTF-8 (Python's
`surrogateescape`) is written as those bytes. Follows Go's `strconv/quote.go`; which characters are
printable follows the Unicode tables of the running Python, and both spellings read back the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SHORT_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
}
_WRITTEN: Final = {char: f"\\{name}" for name, char in _SHORT_ESCAPES.items()} | {'"': '\\"'}
_INT64: Final = re.compile(r"[+-]?[0-9]+")
_ESCAPE: Final = re.compile(
    r"\\(?:(?P<short>[abfnrtv\\'\"])"
    r"|(?P<octal>[0-7]{3})"
    r"|x(?P<byte>[0-9a-fA-F]{2})"
    r"|u(?P<rune4>[0-9a-fA-F]{4})"
    r"|U(?P<rune8>[0-9a-fA-F]{8}))"
)
_INVALID: Final = "invalid syntax"
_MAX_INT64: Final = (1 << 63) - 1


def quote(value: str) -> str:
    """Writes a double-quoted Go string literal, printable characters as they are."""
    if value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return f'"{"".join(map(_written, value))}"'


def _written(char: str) -> str:
    if char in _WRITTEN:
        return _WRITTEN[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return "".join(f"\\x{byte:02x}" for byte in _stray_bytes(char))
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _stray_bytes(surrogate: str) -> bytes:
    """The byte that `surrogateescape` hid, or the three bytes of any other lone surrogate."""
    if "\udc80" <= surrogate <= "\udcff":
        return surrogate.encode(errors="surrogateescape")
    return surrogate.encode(errors="surrogatepass")


def unquote(literal: str) -> str:
    r"""Reads a Go string literal in double or back quotes.

    Bytes that are not UTF-8 (`"\xff"`) come back as `surrogateescape` hides them.

    Raises:
        ValueError: the text is no such literal, in Go's words.
    """
    mark, body = literal[:1], literal[1:-1]
    if len(literal) < 2 or literal[-1] != mark or mark not in ('"', "`"):
        raise ValueError(_INVALID)
    if mark == '"':
        return b"".join(_units(body, mark)).decode(errors="surrogateescape")
    if "`" in body:
        raise ValueError(_INVALID)
    return body.replace("\r", "")


def unquote_char(literal: str) -> int:
    """Reads a Go character constant in single quotes into its code.

    Raises:
        ValueError: the text is no such constant, in Go's words.
    """
    body = literal[1:-1]
    if len(literal) < 3 or literal[0] != "'" or literal[-1] != "'":
        raise ValueError(_INVALID)
    match = _ESCAPE.match(body)
    if match is None and body[0] not in "'\\":
        code, end = ord(body[0]), 1
    elif match is not None:
        code, end = _escaped(match, "'")[0], match.end()
    else:
        raise ValueError(_INVALID)
    if end != len(body):
        raise ValueError(f"malformed character constant: {literal}")
    return code


def _units(body: str, mark: str) -> Iterator[bytes]:
    position = 0
    while position < len(body):
        match = _ESCAPE.match(body, position)
        if match is not None:
            code, is_byte = _escaped(match, mark)
            yield bytes([code]) if is_byte else chr(code).encode()
            position = match.end()
        elif (char := body[position]) in (mark, "\\", "\n"):
            raise ValueError(_INVALID)
        else:
            yield char.encode(errors="surrogateescape")
            position += 1


def _escaped(match: re.Match[str], mark: str) -> tuple[int, bool]:
    """The number that an escape stands for, and whether it is a byte rather than a character."""
    if (short := match["short"]) is not None:
        if short in "'\"" and short != mark:
            raise ValueError(_INVALID)
        return ord(_SHORT_ESCAPES.get(short, short)), False
    if match["octal"] or match["byte"]:
        code = int(match["octal"], 8) if match["octal"] else int(match["byte"], 16)
        if code > 0xFF:
            raise ValueError(_INVALID)
        return code, True
    code = int(match["rune4"] or match["rune8"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError(_INVALID)
    return code, False


def parse_int(text: str) -> int | None:
    """Go's `ParseInt(text, 10, 64)`; None for what it refuses, out of range included."""
    if len(text) > 64 or not _INT64.fullmatch(text):
        return None
    number = int(text)
    return number if -_MAX_INT64 - 1 <= number <= _MAX_INT64 else None
