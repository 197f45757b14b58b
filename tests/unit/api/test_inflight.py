"""Row K8: ordinary callers cannot take the places of discovery, probes and masters."""

from __future__ import annotations

import contextlib

import pytest

from metrics_apiserver.api.inflight import InFlight
from metrics_apiserver.base import errors


def test_places_are_counted_and_given_back() -> None:
    subject = InFlight(2)
    with subject.place(), subject.place():
        assert subject.current == 2
        with pytest.raises(errors.TooManyRequests), subject.place():
            pass
        assert subject.refused == 1
    assert subject.current == 0
    with pytest.raises(KeyError), subject.place():
        raise KeyError
    assert subject.current == 0


def test_the_reserve_is_for_those_who_may_use_it() -> None:
    subject = InFlight(2, reserve=1)
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(subject.place())
        with pytest.raises(errors.TooManyRequests), subject.place():
            pass
        stack.enter_context(subject.place(reserved=True))
        with pytest.raises(errors.TooManyRequests), subject.place(reserved=True):
            pass
    assert subject.current == 0
