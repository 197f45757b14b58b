"""Helm for every test of the chart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import programs


@pytest.fixture(scope="session", autouse=True)
def helm_binary() -> Path:
    return programs.require("helm")
