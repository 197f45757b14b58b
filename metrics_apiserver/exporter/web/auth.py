"""Basic authentication with bcrypt hashes, and names required in client certificates.

Checking a hash takes a tenth of a second on purpose, so successful logins are cached under a keyed
digest for as long as the hashes stay the same. An unknown user takes as long as a wrong password.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

import bcrypt

_MAX_REMEMBERED = 100
_MAX_PASSWORD = 72  # bcrypt ignores the rest
_MAX_HEADER = 4096
_WAITING = 4  # concurrent checks; more would starve other requests


class Passwords:
    """Checks Authorization headers.

    Args:
        users: name -> bcrypt hash; without users everybody is allowed.
    """

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = dict(users)
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._turns = asyncio.Semaphore(_WAITING)
        # The hash of no known password, for users that do not exist.
        example = next(iter(users.values()), b"$2b$10$")
        self._dummy = example[:7] + b"." * 53

    async def allow(self, header: str | None) -> bool:
        """Whether the header has a valid user and password."""
        if not self._users:
            return True
        parsed = _parse(header)
        if parsed is None:
            return False
        user, password = parsed
        stored = self._users.get(user)
        parts = b"\0".join((user.encode(), stored or b"", password))
        digest = hashlib.blake2b(parts, key=self._key).digest()
        if digest in self._right:
            return True
        async with self._turns:
            matches = await asyncio.to_thread(_check, password, stored or self._dummy)
        if not matches or stored is None:
            return False
        if len(self._right) >= _MAX_REMEMBERED:
            self._right.clear()
        self._right.add(digest)
        return True


def _check(password: bytes, stored: bytes) -> bool:
    if len(password) > _MAX_PASSWORD or b"\0" in password:
        return False
    try:
        return bcrypt.checkpw(password, stored)
    except ValueError:
        return False


def _parse(header: str | None) -> tuple[str, bytes] | None:
    if header is None or len(header) > _MAX_HEADER:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def has_name(certificate: Mapping[str, Any] | None, allowed: frozenset[str]) -> bool:
    """Whether a verified client certificate has one of the names; True if none is required."""
    if not allowed:
        return True
    names = (certificate or {}).get("subjectAltName", ())
    return any(value in allowed for _, value in names)
