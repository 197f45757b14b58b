"""Conditions of the environment, such as a refused watch: logged when one begins, changes or ends.

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
        conditions: what is wrong now, by name.
    """

    def __init__(self, conditions: Callable[[], Mapping[str, str]]) -> None:
        self._conditions = conditions
        self._known: Mapping[str, str] = {}

    def log_changes(self) -> None:
        """One line for each condition that has changed."""
        found = dict(self._conditions())
        for name, reason in found.items():
            if self._known.get(name) != reason:
                log.warning("condition changed", extra={"condition": name, "reason": reason})
        for name in self._known.keys() - found.keys():
            log.info("condition resolved", extra={"condition": name})
        self._known = found
