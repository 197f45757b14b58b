"""Hot reload of the rule file: validated whole, swapped at once, the last good one kept.

The file's bytes are read once and parsed from memory, so that what is judged is what is used. Its
content is compared at each poll (ConfigMap volumes swap a symlink, which changes no watched
inode); SIGHUP asks for a look at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from metrics_apiserver.core import config, errors
from metrics_apiserver.core.config import RuleFile

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


def load(path: Path) -> tuple[bytes, RuleFile]:
    """Reads and compiles a rule file.

    Raises:
        errors.ConfigError: the file cannot be read or holds faults; all are named.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise errors.ConfigError(
            str(path), (errors.Fault(f"cannot read the rule file: {reason}"),)
        ) from error
    return text, config.parse(text, str(path))


class Reloader:
    """Watches one rule file.

    Args:
        path: the file of `--config`.
        use: takes each new good rule set.
        report: called after each attempt with its success.
    """

    def __init__(
        self,
        path: Path,
        use: Callable[[RuleFile], None],
        *,
        report: Callable[[bool], None] = lambda _ok: None,
    ) -> None:
        self._path = path
        self._use = use
        self._report = report
        self._judged = b""
        self._wake = asyncio.Event()

    def load_first(self) -> RuleFile:
        """The start-up load, which may raise errors.ConfigError."""
        text, rules = load(self._path)
        self._judged = hashlib.sha256(text).digest()
        self._use(rules)
        self._report(True)
        return rules

    def wake(self) -> None:
        """Asks for a look now, as SIGHUP does."""
        self._wake.set()

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            self.reload_once()
            self._wake.clear()
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def reload_once(self) -> bool:
        """Takes the file if its content changed and is good; True when it was taken."""
        try:
            text = self._path.read_bytes()
        except OSError as error:
            self._refuse(b"unreadable", f"cannot read the rule file: {error.strerror or error}")
            return False
        digest = hashlib.sha256(text).digest()
        if digest == self._judged:
            return False
        try:
            rules = config.parse(text, str(self._path))
        except errors.ConfigError as error:
            self._refuse(digest, str(error))
            return False
        self._judged = digest
        self._use(rules)
        self._report(True)
        log.info("rule file reloaded", extra={"path": str(self._path)})
        return True

    def _refuse(self, digest: bytes, reason: str) -> None:
        if digest == self._judged:
            return
        self._judged = digest
        self._report(False)
        log.error(
            "rule file refused; the last good one stays in use",
            extra={"path": str(self._path), "error": reason},
        )
