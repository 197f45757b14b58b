"""Row O7: serving goes on whatever becomes of the log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes import process
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.process import ADMIN, ServerProcess, items
from tests.fakes.prometheus import Backend

LOAD = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/load"
INTO = ("sh", "-c", 'exec "$@" 2>"$0"')  # followed by the file for the log


@pytest.mark.parametrize("log", ["a pipe that nobody reads", "/dev/full"])
async def test_a_log_that_takes_nothing(
    tmp_path: Path, kube: FakeKubeAPI, values: Backend, log: str
) -> None:
    reader = None
    target = log
    if log != "/dev/full":
        target = str(tmp_path / "pipe")
        os.mkfifo(target)
        reader = os.open(target, os.O_RDWR)
    flags = [*process.flags(tmp_path, kube, values.url), "--v=10"]
    try:
        async with ServerProcess(tmp_path, flags, wrap=(*INTO, target)) as server:
            await server.ready()
            async with server.client(ADMIN) as client:
                for number in range(300):
                    # Each leaves a line of some hundred bytes: far more than a pipe holds.
                    missing = f"{LOAD}-{number}-{'x' * 150}"
                    assert (await client.get(missing)).status == 404
                assert items(await client.get(LOAD)) == {"web-0": "36", "web-1": "72500m"}
            await server.ready()
    finally:
        if reader is not None:
            os.close(reader)
