"""Basic authentication against bcrypt hashes, and names that client certificates must carry.

A hash takes a tenth of a second on purpose, so what was right is remembered under a keyed digest
for as long as the hashes stay, and an unknown user costs as much as a wrong password.
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
_MAX_PASSWORD = 72  # bcrypt reads no further
_MAX_HEADER = 4096
_WAITING = 4  # hashes at once; more would keep others from being served


class Passwords:
    """Judges Authorization headers.

    Args:
        users: name -> bcrypt hash; without users everybody may pass.
    """

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = dict(users)
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._turns = asyncio.Semaphore(_WAITING)
        # Of a password that nobody knows, for users that do not exist.
        example = next(iter(users.values()), b"$2b$10$")
        self._dummy = example[:7] + b"." * 53

    async def allow(self, header: str | None) -> bool:
        """Whether the header names a user and their password."""
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
    """Whether a verified client certificate carries one of the names; all do if none is asked."""
    if not allowed:
        return True
    names = (certificate or {}).get("subjectAltName", ())
    return any(value in allowed for _, value in names)
