"""What tests on sockets share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from tests.fakes.servers import Run


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario to its end on a loop of its own, once for each kind of loop."""

    def run_scenario(scenario: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await scenario

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run_scenario
