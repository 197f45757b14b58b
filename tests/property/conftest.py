"""Hypothesis settings and the Go oracle.

`HYPOTHESIS_PROFILE=deep` runs each property on a hundred times as many inputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import programs
from tests.fakes.oracle import Oracle

settings.register_profile("ci", deadline=None, max_examples=200)
settings.register_profile("deep", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    running = Oracle(programs.require("oracle"))
    yield running
    running.close()
