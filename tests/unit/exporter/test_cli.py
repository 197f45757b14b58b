"""The command; what it runs is tested as a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from metrics_apiserver import cli as server
from metrics_apiserver.exporter import cli


def test_help_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "nvml-exporter" in capsys.readouterr().out
    assert cli.main(["--interval=never"]) == 2
    assert "no duration" in capsys.readouterr().err


def test_the_servers_command_hands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["exporter", "--help"]) == 0
    assert "--attribution" in capsys.readouterr().out
    assert server.main(["exporter", "--no-such-flag"]) == 2


def test_without_the_extra_it_says_what_is_missing() -> None:
    program = (
        "import sys; sys.modules['pynvml'] = None; "
        "from metrics_apiserver import cli; sys.exit(cli.main(['exporter']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr == "nvml-exporter: pynvml is missing; install metrics-apiserver[gpu]\n"
