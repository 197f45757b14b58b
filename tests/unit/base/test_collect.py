"""All that is wrong is kept and said together."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.base.collect import ErrorCollector
from metrics_apiserver.base.diagnostics import Diagnostic


def refuse(text: str) -> int:
    raise errors.ConfigError("flags", (Diagnostic(text),))


def test_what_can_be_used_comes_through() -> None:
    collector = ErrorCollector()
    assert collector.settle(collector.of(lambda: 0)) == 0


def test_every_error_is_kept_once() -> None:
    collector = ErrorCollector()
    assert collector.of(lambda: refuse("one")) is None
    assert collector.of(lambda: 3) == 3
    collector.of(lambda: refuse("two"))
    collector.of(lambda: refuse("one"))
    with pytest.raises(ExceptionGroup) as caught:
        collector.settle(3)
    assert [str(error) for error in caught.value.exceptions] == ["flags: one", "flags: two"]


def test_other_errors_are_ours() -> None:
    with pytest.raises(ZeroDivisionError):
        ErrorCollector().of(lambda: 1 // 0)
    with pytest.raises(AssertionError):
        ErrorCollector().settle(None)
