"""Which command runs, and how failures are reported."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.fakes.commands import Terminal


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_usage(words: tuple[str, ...]) -> None:
    ran = Terminal().run(*words)
    assert ran.code == 0
    assert all(f"\n  {name} " in ran.out for name in ("issue", "publish", "inspect"))


@pytest.mark.parametrize("name", ["issue", "publish", "inspect"])
def test_the_flags_of_a_command(name: str) -> None:
    ran = Terminal().run(name, "--help")
    assert ran.code == 0
    assert "--service" in ran.out


def test_an_unknown_command() -> None:
    ran = Terminal().run("renew")
    assert (ran.code, ran.out) == (2, "")
    assert "No such command 'ren…'" in ran.err


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = Terminal().run("issue", "--service=s.n", f"--directory={tmp_path}/file/certs")
    assert ran.code == 1
    assert "Not a directory" in ran.err


def test_a_cluster_that_cannot_be_reached(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    path = tmp_path / "kubeconfig"
    path.write_text(
        '{"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],'
        f'"clusters": [{{"name": "c", "cluster": {{"server": "https://127.0.0.1:{port}"}}}}]}}'
    )
    words = ("--secret=n/s", "--service=s.n", f"--kubeconfig={path}")
    assert Terminal().run("publish", *words, "--dry-run").code == 1
    assert "cannot be reached" in Terminal().run("publish", *words).err
