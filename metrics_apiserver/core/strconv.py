r"""Go string literals: what `%q` writes and what Go's `strconv.Unquote` reads.

PromQL literals, template constants and Kubernetes error texts are all Go string literals, so there
is one writer and one reader of them. A JSON or `repr` encoder would not do: surrogate pairs and
`\x85` mean something else to Go. Text that came from bytes that are not UTF-8 (Python's
`surrogateescape`) is written as those bytes. Follows Go's `strconv/quote.go`; which characters are
printable follows the Unicode tables of the running Python, and both spellings read back the same.
"""

from __future__ import annotations

import re
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
    """Reads a Go literal in double quotes, back quotes or, for one character, single quotes.

    Raises:
        ValueError: the text is no such literal, as Go's `invalid syntax`.
    """
    mark, body = literal[:1], literal[1:-1]
    if len(literal) < 2 or mark != literal[-1] or mark not in ('"', "`", "'"):
        raise ValueError("invalid syntax")
    if mark == "`":
        if "`" in body:
            raise ValueError("invalid syntax")
        return body.replace("\r", "")
    text = _unescape(body, mark)
    if mark == "'" and len(text) != 1:
        raise ValueError("invalid syntax")
    return text


def _unescape(body: str, mark: str) -> str:
    parts: list[bytes] = []
    position = 0
    while position < len(body):
        char = body[position]
        if char == "\\":
            match = _ESCAPE.match(body, position)
            if match is None:
                raise ValueError("invalid syntax")
            parts.append(_escaped(match, mark))
            position = match.end()
        elif char in (mark, "\n"):
            raise ValueError("invalid syntax")
        else:
            parts.append(char.encode(errors="surrogatepass"))
            position += 1
    if mark == "'" and len(parts) != 1:
        raise ValueError("invalid syntax")
    return b"".join(parts).decode(errors="surrogateescape")


def _escaped(match: re.Match[str], mark: str) -> bytes:
    kind, text = match.lastgroup, match[match.lastgroup or 0]
    if kind == "short":
        if text in "'\"" and text != mark:
            raise ValueError("invalid syntax")
        return _SHORT_ESCAPES.get(text, text).encode()
    code = int(text, 8 if kind == "octal" else 16)
    if kind in ("octal", "byte"):
        if code > 0xFF:
            raise ValueError("invalid syntax")
        # In a character constant the number is the character, in a string it is a byte.
        return chr(code).encode() if mark == "'" else bytes([code])
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError("invalid syntax")
    return chr(code).encode()


def parse_int(text: str) -> int | None:
    """Go's `ParseInt(text, 10, 64)`; None for what it refuses, out of range included."""
    if len(text) > 64 or not _INT64.fullmatch(text):
        return None
    number = int(text)
    return number if -_MAX_INT64 - 1 <= number <= _MAX_INT64 else None
