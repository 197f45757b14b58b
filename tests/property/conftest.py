"""Hypothesis settings and the Go oracle.

`HYPOTHESIS_PROFILE=deep` runs each property on a hundred times as many inputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.fakes import oracle as go

settings.register_profile("ci", deadline=None, max_examples=200)
settings.register_profile("deep", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def oracle() -> Iterator[go.Oracle]:
    try:
        binary = go.build()
    except go.OracleMissing as missing:
        pytest.skip(str(missing))
    running = go.Oracle(binary)
    yield running
    running.close()
