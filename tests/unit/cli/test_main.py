"""Which command the words name, and how the process ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from unittest.mock import Mock

import pytest

from metrics_apiserver import __version__
from metrics_apiserver.cli import commands, main, serve

VALID = "config/alibaba-gpu.yaml"
PROGRAM = [sys.executable, "-m", "metrics_apiserver"]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], []),
        (["serve"], []),
        (["serve", "--v=1"], ["--v=1"]),
        (["--config=x"], ["--config=x"]),
        (["--config", "x", "check"], ["--config", "x", "check"]),
        (["-o", "json", "version"], ["-o", "json", "version"]),
        (["--help", "--v=1"], ["--help", "--v=1"]),
        (["/adapter"], []),
        (["/adapter", "--secure-port=1"], ["--secure-port=1"]),
    ],
)
def test_flags_before_a_command_or_none_mean_serve(
    monkeypatch: pytest.MonkeyPatch, words: list[str], given: list[str]
) -> None:
    run = Mock(return_value=0)
    monkeypatch.setattr(serve, "run", run)
    assert main.main(words) == 0
    run.assert_called_once_with(given)


@pytest.mark.parametrize("first", [[], ["/adapter"]])
@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["--version"], ["version", "--v=1"], ["serv"]]
)
def test_other_words_name_a_command(
    monkeypatch: pytest.MonkeyPatch, first: list[str], words: list[str]
) -> None:
    run = Mock(return_value=1)
    monkeypatch.setattr(commands, "run", run)
    assert main.main([*first, *words]) == 1
    run.assert_called_once_with(words)


def test_a_completing_shell_gives_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "run", lambda _words: 0)
    monkeypatch.setenv(main.COMPLETION_VARIABLE, "bash_complete")
    assert main.main([]) == 0


def test_the_arguments_of_the_process_are_the_default() -> None:
    done = subprocess.run([*PROGRAM, "version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"metrics-apiserver {__version__}\n"


def test_the_server_starts_without_click_and_rich() -> None:
    program = (
        "import sys\n"
        "from metrics_apiserver import app\n"
        "from metrics_apiserver.cli import main\n"
        "app.run = lambda settings: 0\n"
        f"code = main.main(['/adapter', '--config={VALID}', '--prometheus-url=http://p'])\n"
        "print(code, sorted({'click', 'rich'} & sys.modules.keys()))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0 []\n", "")


@pytest.mark.parametrize(
    "words", ["check config/alibaba-gpu.yaml", "check absent", "--help", "serve --help", "serv"]
)
def test_a_closed_pipe_ends_it_quietly(words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PROGRAM, *words.split()]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    both = subprocess.run(command, stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == (2 if words in ("check absent", "serv") else 1)
    assert both.returncode == 1


# A shell lets what it runs in the background ignore SIGINT, and children inherit that.
HEED_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_an_interrupt_ends_it_quietly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [*PROGRAM, "certs", "inspect", f"--connect={place}"]
        process = subprocess.Popen(
            [sys.executable, "-c", HEED_INTERRUPTS, *command], stderr=subprocess.PIPE, text=True
        )
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, "\nstopped\n")


def test_an_interrupt_before_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "run", Mock(side_effect=KeyboardInterrupt))
    assert main.main(["--config=x"]) == 1
