"""Wall time."""

from __future__ import annotations

import datetime as dt

from metrics_apiserver.base import clock


def test_it_is_the_time_of_day() -> None:
    before = dt.datetime.now(dt.UTC).timestamp()  # noqa: TID251 - the test compares with it
    assert before - 1 <= clock.wall_clock() <= before + 60
