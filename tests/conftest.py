"""Settings for every test."""

from __future__ import annotations

import asyncio


def pytest_configure() -> None:
    """Says that no event loop is current before the first test.

    Otherwise Python 3.11's policy makes one as soon as pytest-asyncio asks which loop to restore,
    nobody closes it, and its ResourceWarning fails a test that had no part in it.
    """
    asyncio.set_event_loop(None)
