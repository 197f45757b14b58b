"""One process: what it was given is closed at its end. `tests/functional/process` runs it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from metrics_apiserver.app import build
from metrics_apiserver.app.process import Process
from tests.fakes.command_line import serve_settings


async def test_a_taken_port_ends_it_and_all_is_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        components = build.build(serve_settings(tmp_path, "--standalone", f"--secure-port={port}"))
        pair = components.environment.pair_paths
        assert pair is not None
        assert pair.certificate.exists()
        assert await Process(components).run() == 1
    assert "cannot listen" in caplog.text
    assert not pair.certificate.exists()
