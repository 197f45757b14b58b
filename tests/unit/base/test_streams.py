"""Programs whose standard streams are closed, full, or cannot show a character."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from metrics_apiserver.base import streams

SERVER = f"{sys.executable} -m metrics_apiserver"
EXPORTER = f"{sys.executable} -m metrics_apiserver.exporter.cli"


def run(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"{SERVER} version >&-", 0),
        (f"{SERVER} serve --help >&-", 0),
        (f"{SERVER} exporter --help >&-", 0),
        (f"{EXPORTER} --help >&-", 0),
        (f"{SERVER} --secure-port=x 2>&-", 2),
        (f"{EXPORTER} --interval=x <&- >&- 2>&-", 2),
        (f"{SERVER} check config/alibaba-gpu.yaml <&- >&- 2>&-", 0),
    ],
)
def test_closed_streams_do_not_matter(line: str, code: int) -> None:
    done = run(line)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize(
    "program", [f"{SERVER} version", f"{SERVER} serve --help", f"{EXPORTER} --help"]
)
def test_a_full_disk_is_told_in_a_line(program: str) -> None:
    done = run(f"{program} >/dev/full")
    assert (done.returncode, done.stderr) == (1, "output: No space left on device\n")
    assert run(f"{program} >/dev/full 2>&1").returncode == 1


def test_a_closed_pipe_ends_the_exporter_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*EXPORTER.split(), "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=30,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_character_that_the_output_cannot_show() -> None:
    program = (
        "from metrics_apiserver.base import streams\n"
        "streams.run(lambda: print('\\udcff\\u00fc') or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
    )
    assert done.stdout == "\\udcff\\xfc\n"


def test_other_errors_are_not_of_the_output() -> None:
    assert not streams.is_refused_output(OSError(errno.ENOSPC, "full", "a-file"))
    assert not streams.is_refused_output(ConnectionResetError())

    def fail() -> int:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        streams.run(fail)
