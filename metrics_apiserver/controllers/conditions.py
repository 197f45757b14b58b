"""What is wrong with the surroundings: logged when it begins, when it changes and when it ends.

Watches and look-ups try again by themselves, so one line a change says more than one a try. The
same texts are the reasons of the readiness checks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class ConditionLog:
    """Compares what is wrong now with what was.

    Args:
        look: what is wrong, by the part that has it.
    """

    def __init__(self, look: Callable[[], Mapping[str, str]]) -> None:
        self._look = look
        self._known: Mapping[str, str] = {}

    def look_once(self) -> None:
        """One line for each part whose state changed."""
        found = dict(self._look())
        for part, problem in found.items():
            if self._known.get(part) != problem:
                log.warning("trouble", extra={"part": part, "problem": problem})
        for part in self._known.keys() - found.keys():
            log.info("no trouble any more", extra={"part": part})
        self._known = found
