"""Hot reload of the rule file: validated whole, swapped at once, the last good one kept.

The file's bytes are read once and parsed from memory, so that what is validated is what is used.
Its content is compared at each poll (ConfigMap volumes swap a symlink, which changes no watched
inode); SIGHUP starts a poll at once. A change counts when two polls in a row find the same bytes:
half a file may well parse, as another rule than the one being written. For the same reason a change
that leaves nothing of a file with rules is refused, unless it says `rules: []`. A faulty rule is
set aside at start, where there is nothing better; a change that has one is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from metrics_apiserver.base import errors, files
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.core import diagnostics
from metrics_apiserver.core.rules import config, yamlload
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.core.rules.querycheck import Dialect

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
SETTLE_SECONDS = 0.25  # to the second poll of a change
_UNREADABLE = b"unreadable"


def load(
    path: Path, *, quarantine: bool = False, dialect: Dialect = "backend"
) -> tuple[bytes, RuleFile]:
    """Reads and compiles a rule file; arguments as those of config.parse.

    Raises:
        errors.ConfigError: the file cannot be read or used; every error is listed.
    """
    try:
        text = files.read(path, yamlload.MAX_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise errors.ConfigError(
            str(path), (diagnostics.UNREADABLE.at(f"cannot read the rule file: {reason}"),)
        ) from error
    return text, config.parse(text, str(path), quarantine=quarantine, dialect=dialect)


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
        self._had_rules = False
        self._validated = b""
        self._seen = b""
        self._wake = asyncio.Event()

    def load_first(self) -> RuleFile:
        """The start-up load: one faulty rule does not keep the others from being served.

        Raises:
            errors.ConfigError: the file as a whole cannot be used.
        """
        text, rules = load(self._path, quarantine=True)
        self._validated = self._seen = hashlib.sha256(text).digest()
        self._take(rules)
        return rules

    def wake(self) -> None:
        """Starts a poll now, as SIGHUP does."""
        self._wake.set()

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            await self.reload_once()
            self._wake.clear()
            wait = POLL_SECONDS if self._seen == self._validated else SETTLE_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def reload_once(self) -> bool:
        """Polls once; True when a changed file was good and is taken.

        A change is validated at the second poll that finds it.
        """
        text, unreadable = b"", ""
        try:
            text = files.read(self._path, yamlload.MAX_BYTES)
            digest = hashlib.sha256(text).digest()
        except OSError as error:
            unreadable = f"cannot read the rule file: {error.strerror or error}"
            digest = _UNREADABLE
        seen, self._seen = self._seen, digest
        if digest == self._validated or digest != seen:
            return False
        self._validated = digest
        if unreadable:
            return self._refuse(unreadable)
        try:
            # In a thread: a file of a thousand rules takes half a second.
            rules = await asyncio.to_thread(config.parse, text, str(self._path))
        except errors.ConfigError as error:
            return self._refuse(str(error))
        if rules.blank and self._had_rules:
            return self._refuse("the file has no rules any more; write `rules: []` to mean that")
        self._take(rules)
        log.info("rule file reloaded", extra={"path": str(self._path)})
        return True

    def _take(self, rules: RuleFile) -> None:
        self._had_rules = not rules.empty
        for rule in rules.quarantined:
            self._warn("rule quarantined: its metrics are unavailable, others are used", rule.fault)
        for warning in rules.warnings:
            self._warn("rule file warning", warning)
        self._use(rules)
        self._report(True)

    def _warn(self, text: str, found: Diagnostic) -> None:
        place = {"path": str(self._path), "line": found.line, "field": found.path}
        kind = diagnostics.CATALOGUE[found.code].name
        log.warning(
            text, extra=place | {"code": found.code, "kind": kind, "problem": found.message}
        )

    def _refuse(self, reason: str) -> bool:
        self._report(False)
        log.error(
            "rule file refused; the last good one stays in use",
            extra={"path": str(self._path), "error": reason},
        )
        return False
