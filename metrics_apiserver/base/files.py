"""Files that something else replaces while the process runs: mounted Secrets, ConfigMaps, tokens.

`read` is the one way in which a file's content enters a process: regular files only, opened
without blocking and bounded in size, so that no FIFO, device or endless file holds it up.
`WatchedFiles` keeps a value made of files: it is made again when the content of one of them has
changed, through swapped symbolic links too. Content that cannot be used leaves the last good value
in force; the reason is logged once and stays in `error` until the files are good again. Contents
never reach a message.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from metrics_apiserver.base.clock import wall_clock

T = TypeVar("T")

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
# A file system's time stamps are coarse: a file this young may change again and look the same.
_SETTLED_SECONDS = 1.0


class Stamp(NamedTuple):
    """What tells, without reading it, that a file has been replaced or written."""

    modified_ns: int
    size: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)


class _Known(NamedTuple):
    """A file as it was when it was read; `stamp` is None and `digest` empty when it could not."""

    stamp: Stamp | None
    digest: bytes = b""
    settled: bool = True


def read(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a regular file.

    Args:
        path: symbolic links are followed.
        limit: the most bytes that it may have.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than `limit`.
    """
    return Reader(limit)(path)


class Reader:
    """Reads files as `read` does, and remembers what each of them was."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self.known: dict[Path, _Known] = {}
        self._limit = limit

    def __call__(self, path: Path) -> bytes:
        """The content of a file.

        Raises:
            OSError: as `read`.
        """
        self.known[path] = _Known(None)
        # Not blocking: to open a FIFO would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            stamp = Stamp.of(status)
            self.known[path] = _Known(stamp)
            _require_regular(path, status)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(self._limit + 1)
        finally:
            os.close(descriptor)
        if len(content) > self._limit:
            raise OSError(errno.EFBIG, f"larger than {self._limit} bytes", str(path))
        settled = wall_clock() - status.st_mtime >= _SETTLED_SECONDS
        self.known[path] = _Known(stamp, hashlib.sha256(content).digest(), settled)
        return content


def _require_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


class WatchedFiles(Generic[T]):
    """A value made of files, made again when one of them changes.

    Args:
        name: what the files are, for the log.
        load: makes the value of what the reader that it is given reads, and of nothing else;
            raises OSError or ValueError when it cannot. The files that it read are watched.
        limit: the most bytes that one file may have.
        interval_seconds: `current` looks at the files at most this often.
        reread_seconds: `current` reads them at least this often, whatever their stamps say.
        clock: monotonic seconds.

    Attributes:
        error: why the files cannot be used as they are; empty while they can.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[Reader], T],
        *,
        limit: int = MAX_BYTES,
        interval_seconds: float = 0.0,
        reread_seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._load = load
        self._limit = limit
        self._interval_seconds = interval_seconds
        self._reread_seconds = reread_seconds
        self._clock = clock
        self._known: dict[Path, _Known] = {}
        self._good: list[T] = []  # none or one: the value may be of any type
        self._checked_at = self._read_at = -math.inf
        self.error = ""

    def current(self) -> T:
        """The value of the files, looked at again when that is due.

        Raises:
            OSError, ValueError: they were never usable.
        """
        now = self._clock()
        if self._good and now - self._checked_at < self._interval_seconds:
            return self._good[0]
        return self.reread() if now - self._read_at >= self._reread_seconds else self.refresh()

    def refresh(self) -> T:
        """The value of the files, looked at now; the same object while their content is the same.

        Raises:
            OSError, ValueError: they were never usable.
        """
        self._checked_at = self._clock()
        if self._good and (self._has_same_stamps() or self._has_same_content()):
            return self._good[0]
        return self.reread()

    def reread(self) -> T:
        """The value of the files, read now whatever their stamps say.

        Raises:
            OSError, ValueError: they were never usable.
        """
        self._checked_at = self._read_at = self._clock()
        reader = Reader(self._limit)
        try:
            value = self._load(reader)
        except (OSError, ValueError) as error:
            return self._keep(error)
        finally:
            self._known = reader.known
        if self.error and self._good:
            logger.info("the %s can be used again", self._name)
        self._good, self.error = [value], ""
        return value

    def _keep(self, error: OSError | ValueError) -> T:
        text, before = str(error) or type(error).__name__, self.error
        self.error = text
        if not self._good:
            raise error
        if text != before:
            logger.warning("keeping the last good %s: %s", self._name, text)
        return self._good[0]

    def _has_same_stamps(self) -> bool:
        return all(
            known.settled and _stamp(path) == known.stamp for path, known in self._known.items()
        )

    def _has_same_content(self) -> bool:
        """Whether files that may have been written hold what they held; their stamps are taken."""
        reader = Reader(self._limit)
        try:
            for path, known in self._known.items():
                reader(path)
                if reader.known[path].digest != known.digest:
                    return False
        except OSError:
            return False
        self._known = reader.known
        return True


def _stamp(path: Path) -> Stamp | None:
    """The stamp of a file; None when it is not there."""
    try:
        return Stamp.of(path.stat())
    except OSError:
        return None


@contextmanager
def private_file(content: bytes, *, in_memory: bool = hasattr(os, "memfd_create")) -> Iterator[str]:
    """A name for bytes that OpenSSL wants as a file; nothing of it is left on a disk.

    Linux gets an anonymous memory file, which also works on a read-only root; elsewhere it is a
    temporary file, mode 0600, removed at once.
    """
    if in_memory:
        descriptor = os.memfd_create("private", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - not by its path
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    descriptor, name = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - not by its path
            file.write(content)
        yield name
    finally:
        Path(name).unlink()
