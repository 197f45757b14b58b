"""One line when a condition begins, changes and ends."""

from __future__ import annotations

import logging

import pytest

from metrics_apiserver.controllers.conditions import ConditionLog


def test_only_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now: dict[str, str] = {}
    subject = ConditionLog(lambda: now)

    def lines() -> list[tuple[str, str, str]]:
        subject.log_changes()
        said = [
            (r.levelname, r.__dict__["condition"], r.__dict__.get("reason", ""))
            for r in caplog.records
        ]
        caplog.clear()
        return said

    assert lines() == []
    now.update({"a": "down", "b": "slow"})
    assert lines() == [("WARNING", "a", "down"), ("WARNING", "b", "slow")]
    assert lines() == []
    now.update({"a": "refused"})
    del now["b"]
    assert lines() == [("WARNING", "a", "refused"), ("INFO", "b", "")]
    now.clear()
    assert lines() == [("INFO", "a", "")]
    assert lines() == []
