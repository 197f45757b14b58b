"""Child processes of tests, each in a session of its own; a Supervisor ends all of them together.

A process keeps its command line, so that a test can kill it with any signal and start it again on
the same port. Output goes to one log file a process, whose tail is shown when something failed.
"""

from __future__ import annotations

import atexit
import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """A free TCP port on loopback, below the ports that the kernel gives to outgoing connections.

    A server that a test kills must get its port back, which no passing client may have taken.
    """
    while True:
        port = random.randint(15_000, 31_999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@dataclass
class Process:
    """One command that can be started, signalled and started again."""

    name: str
    command: Sequence[str]
    log: Path
    cwd: Path
    env: Mapping[str, str] | None = None
    _running: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        if self._running is not None:
            raise RuntimeError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=None if self.env is None else dict(self.env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id; 0 when it does not run."""
        return self._running.pid if self._running else 0

    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def ensure(self) -> None:
        """Starts the process unless it runs: a failed test may have left it dead."""
        if self._running is not None and self._running.poll() is not None:
            self.end()
        if self._running is None:
            self.start()

    def send(self, sig: signal.Signals) -> None:
        """Sends a signal and does not wait."""
        if self._running is not None:
            self._running.send_signal(sig)

    def exit_code(self) -> int | None:
        """The exit code of a process that ended by itself; None while it runs or never ran."""
        return self._running.poll() if self._running else None

    def end(self, sig: signal.Signals = signal.SIGTERM, *, grace: float = 15.0) -> int:
        """Signals the process and waits; what ignores the signal is killed after the grace.

        Returns:
            The exit code as subprocess gives it, 0 when it did not run.
        """
        process, self._running = self._running, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(sig)
        try:
            code = process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        _kill_session(process.pid)
        return code

    def tail(self, size: int = 2_000) -> str:
        """The end of the log."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-size:].decode(errors="replace")


def _kill_session(leader: int) -> None:
    """Kills what a process may have left behind in its session."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


class Supervisor:
    """Every process of one environment, in order of creation."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: dict[str, Process] = {}
        atexit.register(self.close)

    def add(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> Process:
        """Makes a process without starting it; a name used before is replaced after its end."""
        if known := self._processes.pop(name, None):
            known.end()
        process = Process(name, command, self.directory / f"{name}.log", self.directory, env)
        self._processes[name] = process
        return process

    def __contains__(self, name: str) -> bool:
        return name in self._processes

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    def close(self) -> None:
        """Ends everything, the latest first: servers before the control plane under them."""
        for process in reversed(list(self._processes.values())):
            process.end(grace=5.0)
        atexit.unregister(self.close)

    def tails(self, size: int = 1_500) -> str:
        """The tail of every log, for a report of a failure."""
        return "\n".join(
            f"--- {process.log}\n{process.tail(size)}" for process in self._processes.values()
        )
