"""Row O9: a loop or background work that ends takes the process with it, and says so."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.fakes import process
from tests.fakes.subprocesses import free_port

ROOT = Path(__file__).resolve().parents[3]
# A server with one more loop; run apart, because it takes over signals and the collector.
WITH_LOOP = """
import asyncio, sys, uvloop
from metrics_apiserver.base import logs
from metrics_apiserver.options import serve
from metrics_apiserver.app import build
from metrics_apiserver.app.process import Process

async def returns(): await asyncio.sleep(0.2)
async def raises(): await asyncio.sleep(0.2); raise ZeroDivisionError("why")
async def cancels_itself(): await asyncio.sleep(0.2); raise asyncio.CancelledError
async def spawns():
    components.supervisor.spawn(raises(), "refresh")
    await asyncio.Event().wait()

logs.configure(0, "text")
components = build.build(serve.parse(sys.argv[2:]))
environment = components.environment
environment.loops = {**environment.loops, "one more": globals()[sys.argv[1]]}
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    sys.exit(runner.run(Process(components).run()))
"""
SAID = {
    "returns": "loop ended unexpectedly; the process ends",
    "raises": "ZeroDivisionError: why",
    "cancels_itself": "loop failed; the process ends",
    "spawns": "background work failed",
}


def run(directory: Path, loop: str) -> subprocess.CompletedProcess[str]:
    words = [
        "--standalone",
        f"--config={directory / 'rules.yaml'}",
        "--prometheus-url=http://127.0.0.1:1",
        f"--secure-port={free_port()}",
        # Nobody is waited for when the process can do its work no more.
        "--shutdown-drain=60s",
    ]
    return subprocess.run(
        [sys.executable, "-c", WITH_LOOP, loop, *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


async def test_what_ends_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(process.RULES)
    async with asyncio.TaskGroup() as group:
        runs = {loop: group.create_task(asyncio.to_thread(run, tmp_path, loop)) for loop in SAID}
    for loop, said in SAID.items():
        done = runs[loop].result()
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert ("refresh" if loop == "spawns" else "one more") in done.stderr
        assert "clean=False" in done.stderr
