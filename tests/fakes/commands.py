"""Runs `certs` as the command line does, and keeps what it printed."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from metrics_apiserver.cli import main
from tests.fakes.kubeapi import FakeKubeAPI


@dataclass
class Ran:
    """One run."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The YAML documents printed."""
        return list(yaml.safe_load_all(self.out))


@dataclass
class Terminal:
    """Runs commands with some words at the end of each."""

    words: list[str] = field(default_factory=list)

    def run(self, *words: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main.main(["certs", *words, *self.words])
        return Ran(code, out.getvalue(), err.getvalue())


def write_kubeconfig(fake: FakeKubeAPI, directory: Path) -> Path:
    """A kubeconfig for a fake kube-apiserver."""
    path = directory / "kubeconfig"
    path.write_bytes(fake.kubeconfig({"token": "t"}))
    return path
