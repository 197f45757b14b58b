"""Checks of single flags of `serve`: URLs, headers, addresses.

What a URL or a header holds may be a secret, so that no message repeats it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The client frames its requests itself; a second opinion on these is request smuggling.
_FRAMING_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "transfer-encoding"}
)


def url(text: str) -> Iterator[str]:
    """Of Prometheus."""
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        yield "is not a URL"
        return
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield "must be http://host or https://host"
    if not port_is_valid or not text.isascii() or re.search(r"[\x00-\x20\x7f\\]", text):
        yield "has a character or port that a URL cannot have"
    if "@" in parts.netloc:
        yield "must not hold a user or password; use username and password files"
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        yield "must not have a query or fragment"


def headers(texts: Sequence[str]) -> Iterator[str]:
    """Headers of requests to Prometheus, `name=value` each."""
    for header in texts:
        name, _, value = header.partition("=")
        if not _HEADER_NAME.fullmatch(name):
            yield "must be name=value with a valid header name"
        elif name.lower() in _FRAMING_HEADERS:
            yield f"{name} is set by the client itself"
        elif re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            yield f"the value of {name} has a control character"


def address(text: str) -> Iterator[str]:
    """Of a listener."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        yield "must be an IP address"


def is_loopback(text: str) -> bool:
    """Whether it is an address that no other host reaches."""
    return not any(address(text)) and ipaddress.ip_address(text).is_loopback
