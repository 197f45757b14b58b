"""Pairs on disk: written atomically, and a key that only its owner can ever read.

A file is written beside its target under a name that did not exist, with its final mode from
creation on whatever the umask says, synced, and renamed over the target.
Follows client-go util/keyutil (key 0600, certificate 0644).
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from metrics_apiserver.certs import issue

KEY_MODE = 0o600
CERTIFICATE_MODE = 0o644
DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Where a pair lies."""

    certificate: Path
    key: Path


def write(path: Path, data: bytes, mode: int) -> None:
    """Replaces `path` in one step; readers see the old bytes or all of the new ones.

    Raises:
        OSError: nothing was replaced.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, KEY_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_pair(files: PairFiles, pair: issue.Pair) -> None:
    """Writes the key, then the certificate; a reader that checks the pair never sees a mixture.

    Raises:
        OSError: a file could not be written.
    """
    for directory in {files.key.parent, files.certificate.parent}:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    write(files.key, pair.key, KEY_MODE)
    write(files.certificate, pair.certificate, CERTIFICATE_MODE)


def exposure(key: Path) -> str:
    """Why a key file is readable by others than its owner; empty when it is not.

    Files of a mounted Secret commonly are (mode 0644 behind a private mount), so this is a
    warning for the caller to weigh.

    Raises:
        OSError: the file is not there.
    """
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        return f"{key} has mode {mode:04o}: others than its owner may read the key"
    return ""


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
