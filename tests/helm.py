"""Helm, and the chart of `charts/` rendered by it.

Helm is taken from PATH or from `.cache/bin`, where it is built once through the Go module cache; on
a machine that has neither it nor Go, `find` raises Missing and a test skips. Rendering asks no
cluster: what a chart looks up there is not there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/metrics-apiserver"
BINARIES = ROOT / ".cache/bin"
MODULE = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBE_VERSION = "1.34.0"
RELEASE = "release"
NAMESPACE = "monitoring"

Object = dict[str, Any]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, where libyaml is


class Missing(Exception):
    """Helm is not here and cannot be built; the message says what a person should do."""


class Refused(Exception):
    """What Helm says when it does not render."""


@lru_cache(maxsize=1)
def find() -> Path:
    """The path of Helm, built when it has to be. Raises Missing."""
    if found := shutil.which("helm"):
        return Path(found)
    built = BINARIES / "helm"
    if built.exists() and not os.access(BINARIES, os.W_OK):
        return built  # a read-only tree: nothing is being built
    BINARIES.mkdir(parents=True, exist_ok=True)
    with (BINARIES / "helm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            _build()
    return built


def _build() -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.access(go, os.X_OK):
        raise Missing("neither helm nor go is on PATH: install one of them")
    sys.stderr.write("building helm (minutes, once)\n")
    done = subprocess.run(
        [go, "install", "-ldflags=-s -w", MODULE],
        env={**os.environ, "GOBIN": str(BINARIES), "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Missing(f"go install {MODULE}: {done.stderr.decode(errors='replace')[-500:]}")


def run(*arguments: str, stdin: str = "") -> str:
    """Standard output of a Helm command. Raises Refused with its words."""
    done = subprocess.run(
        [str(find()), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr.strip())
    return done.stdout


def render(
    values: Mapping[str, Any] | None = None,
    *,
    files: Sequence[Path] = (),
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    kube_version: str = KUBE_VERSION,
) -> list[Object]:
    """The chart's objects in the order of installation.

    Args:
        values: what a values file would hold; wins over the files.
        files: values files.
        release: its name.
        namespace: where it goes.
        kube_version: of the cluster that it is rendered for.

    Raises:
        Missing: there is no Helm.
        Refused: a value fails the schema, or a template refuses.
    """
    arguments = ["template", release, str(CHART), "--namespace", namespace]
    arguments += ["--kube-version", kube_version]
    for path in files:
        arguments += ["--values", str(path)]
    text = run(*arguments, "--values", "-", stdin=json.dumps(dict(values or {})))
    return [one for one in yaml.load_all(text, Loader=_LOADER) if one]


def main() -> int:
    """Makes sure of Helm and says where it is, or why the tests of the chart will be skipped."""
    try:
        sys.stdout.write(f"helm: {find()}\n")
    except Missing as missing:
        sys.stdout.write(f"helm: the tests of the chart will be skipped: {missing}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
