"""Helm, and the chart of `charts/` rendered by it.

`tests.programs` says where Helm comes from; without it these functions raise its Missing. Rendering
makes no calls to a cluster: a chart's look-ups find nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests import programs
from tests.builds import ROOT

CHART = ROOT / "charts/metrics-apiserver"
KUBE_VERSION = "1.34.0"
RELEASE = "release"
NAMESPACE = "monitoring"

Object = dict[str, Any]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, where libyaml is


class Refused(Exception):
    """What Helm says when it does not render."""


def run(*arguments: str, stdin: str = "") -> str:
    """Standard output of a Helm command. Raises Refused with its words."""
    done = subprocess.run(
        [str(programs.find("helm")), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr.strip())
    return done.stdout


def notes(chart: Path, values: Mapping[str, Any], *options: str) -> str:
    """What the chart says after an installation.

    `helm template` leaves it out and `helm install` wants a cluster, so it is rendered as one more
    object of a copy of the chart.

    Args:
        chart: where the copy is made.
        values: what a values file would hold.
        options: more flags of `helm template`.
    """
    shutil.copytree(CHART, chart)
    (chart / "templates/NOTES.txt").rename(chart / "NOTES.txt")
    shown = '{kind: Notes, text: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}}'
    (chart / "templates/notes.yaml").write_text(shown)
    text = run(
        *("template", RELEASE, str(chart), "--namespace", NAMESPACE, "--values", "-"),
        *(f"--kube-version={KUBE_VERSION}", "--show-only=templates/notes.yaml", *options),
        stdin=json.dumps(dict(values)),
    )
    return str(yaml.load(text, Loader=_LOADER)["text"])


def render(
    values: Mapping[str, Any] | None = None,
    *,
    files: Sequence[Path] = (),
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    kube_version: str = KUBE_VERSION,
    options: Sequence[str] = (),
) -> list[Object]:
    """The chart's objects in the order of installation.

    Args:
        values: what a values file would hold; wins over the files.
        files: values files.
        release: its name.
        namespace: where it goes.
        kube_version: of the cluster that it is rendered for.
        options: more flags of `helm template`.

    Raises:
        programs.Missing: there is no Helm.
        Refused: a value fails the schema, or a template refuses.
    """
    arguments = ["template", release, str(CHART), "--namespace", namespace]
    arguments += ["--kube-version", kube_version, *options]
    for path in files:
        arguments += ["--values", str(path)]
    text = run(*arguments, "--values", "-", stdin=json.dumps(dict(values or {})))
    return [one for one in yaml.load_all(text, Loader=_LOADER) if one]
