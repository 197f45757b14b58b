"""The command; what it runs is tested as a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from metrics_apiserver import __version__
from metrics_apiserver.cli import main as server
from metrics_apiserver.exporter import cli


def test_help_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "nvml-exporter" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"nvml-exporter {__version__}\n"
    assert cli.main(["--interval=never", "--max-series=none", "--no-such-flag"]) == 2
    assert capsys.readouterr() == (
        "",
        "nvml-exporter: --interval: 'never' is not a duration: write it like 30s, 1m30s or 500ms\n"
        "nvml-exporter: --max-series: 'none' is no whole number\n"
        "nvml-exporter: --no-such-flag: unknown flag; see --help\n"
        "nvml-exporter --help lists the flags\n",
    )


def test_the_servers_command_hands_on(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for run, before in ((cli.main, []), (server.main, ["exporter"])):
        codes = [run([*before, *words]) for words in (["--help"], ["--interval=x", "--window=y"])]
        assert codes == [0, 2]
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert "--attribution" in said[0].out


def test_without_the_extra_it_says_what_is_missing() -> None:
    program = (
        "import sys; sys.modules['pynvml'] = None; "
        "from metrics_apiserver.cli import main; sys.exit(main.main(['exporter']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr == "nvml-exporter: pynvml is missing; install metrics-apiserver[gpu]\n"
