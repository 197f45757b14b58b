"""Helm for every test of the chart; without it and without Go they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import helm

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first of these tests may have to build Helm."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session", autouse=True)
def helm_binary() -> Path:
    try:
        return helm.find()
    except helm.Missing as missing:
        pytest.skip(str(missing))
