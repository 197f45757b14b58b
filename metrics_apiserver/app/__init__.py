"""The only wiring: `build` makes clients, providers and the HTTP side, `process` runs them.

Parses nothing and knows no HTTP semantics; what it cannot use at start it refuses with every error
at once, what goes wrong later leaves the last good state in use.
"""

from __future__ import annotations

import asyncio

import uvloop

from metrics_apiserver.app import build, memory
from metrics_apiserver.app.process import Process
from metrics_apiserver.options.settings import ServeSettings


def run(settings: ServeSettings) -> int:
    """Serves until told to stop; the exit code: 0 after a drain, 1 when a loop ended.

    Raises:
        ExceptionGroup: of errors.ConfigError, everything at start that cannot be used.
    """
    memory.keep_one_arena()
    process = Process(build.build(settings))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(process.run())
