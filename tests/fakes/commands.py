"""Runs `certs` as the command line does, and keeps what it printed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from metrics_apiserver.base import errors
from metrics_apiserver.cli import certs
from metrics_apiserver.cli.output import Streams
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
        try:
            code = certs.run([*words, *self.words], Streams(out, err))
        except errors.ConfigError as error:
            code = 2
            err.write(str(error))
        return Ran(code, out.getvalue(), err.getvalue())


def write_kubeconfig(fake: FakeKubeAPI, directory: Path) -> Path:
    """A kubeconfig for a fake kube-apiserver."""
    path = directory / "kubeconfig"
    path.write_bytes(fake.kubeconfig({"token": "t"}))
    return path
