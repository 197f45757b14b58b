"""The programs of a real control plane: found, installed from Debian, or built from Go modules.

Looked for in this order: the folder in KUBEBUILDER_ASSETS, PATH, and then either Debian's package
(as root or by `sudo -n`) or, for kube-apiserver and kube-controller-manager, a build of
`tests/e2e/controlplane` under `.cache/controlplane/<key>`. The key covers everything that goes into
the build, so that a second run builds nothing. Run as a module it makes sure of the programs named.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "tests/e2e/controlplane"
CACHE = ROOT / ".cache/controlplane"
BUILT = ("kube-apiserver", "kube-controller-manager")
DEBIAN = {
    "etcd": "etcd-server",
    "prometheus": "prometheus",
    "kubectl": "kubernetes-client",
    "cc": "gcc libc6-dev",  # compiles the fake NVML library
}
OLDEST_GO = (1, 21)  # from here on Go fetches the toolchain that go.mod asks for by itself


class Missing(Exception):
    """A program is not here and cannot be had; the message says what a person should do."""


def find(name: str) -> Path:
    """The path of a program, installing or building it when needed. Raises Missing."""
    if (path := _present(name)) is not None:
        return path
    if name in BUILT:
        return _build() / name
    _install(name)
    if (path := _present(name)) is None:
        raise Missing(f"Debian's package {DEBIAN[name]} is installed, but {name} is not on PATH")
    return path


def _present(name: str) -> Path | None:
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        path = Path(assets) / name
        if os.access(path, os.X_OK):
            return path
    if name in BUILT:
        return None  # one on PATH would be of any version; the tests are written for go.mod's
    found = shutil.which(name)
    return Path(found) if found else None


def _install(name: str) -> None:
    package = DEBIAN[name]
    wanted = f"{name} is not on PATH; install it (Debian: apt-get install {package})"
    if shutil.which("apt-get") is None:
        raise Missing(wanted)
    prefix: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None or _run(["sudo", "-n", "true"]).returncode:
            raise Missing(f"{wanted}; this user may not do so itself")
        prefix = ["sudo", "-n"]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    install = [*apt, "install", "-y", "--no-install-recommends", *package.split()]
    sys.stderr.write(f"installing {package} for {name}\n")
    if _run(install).returncode == 0:
        return
    _run([*apt, "update"])
    if (done := _run(install)).returncode:
        raise Missing(f"{wanted}; apt-get said: {done.stderr.decode(errors='replace')[-500:]}")


def go() -> str:
    """The Go command. Raises Missing."""
    candidates = [shutil.which("go"), "/usr/local/go/bin/go"]
    for candidate in candidates:
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        shown = _run([candidate, "env", "GOVERSION"]).stdout.decode()
        version = re.match(r"go(\d+)\.(\d+)", shown)
        if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return candidate
    raise Missing(
        "no Go on PATH or in /usr/local/go/bin that can build kube-apiserver and "
        "kube-controller-manager: install Go 1.26 (1.21 or later fetches it), or name a folder "
        "that has both programs in KUBEBUILDER_ASSETS"
    )


def _kubernetes_version() -> str:
    found = re.search(
        r"^\s*k8s\.io/kubernetes (v\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE
    )
    if found is None:
        raise Missing(f"{MODULE / 'go.mod'} names no version of k8s.io/kubernetes")
    return found[1]


def _linker_flags(version: str) -> str:
    major, minor, _ = version.removeprefix("v").split(".", 2)
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in values.items())


def _build() -> Path:
    """Builds both programs, unless this very build is kept; returns their folder."""
    flags = _linker_flags(_kubernetes_version())
    digest = hashlib.sha256(flags.encode())
    for source in sorted(MODULE.rglob("*")):
        if source.is_file():
            digest.update(source.relative_to(MODULE).as_posix().encode() + source.read_bytes())
    folder = CACHE / digest.hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / name).exists() for name in BUILT):
            _compile(folder, flags)
    return folder


def _compile(folder: Path, flags: str) -> None:
    toolchain = go()
    sys.stderr.write("building kube-apiserver and kube-controller-manager (minutes, once)\n")
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    command = [
        toolchain,
        "build",
        "-buildvcs=false",
        "-ldflags",
        flags,
        "-o",
        f"{fresh}/",
        "./cmd/...",
    ]
    done = subprocess.run(command, cwd=MODULE, env={**os.environ, "CGO_ENABLED": "0"}, check=False)
    if done.returncode:
        raise Missing("go build of tests/e2e/controlplane failed; its words stand above")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def main(names: list[str]) -> int:
    """Makes sure of each program named; prints where it is. 1 when one cannot be had."""
    try:
        for name in names or [*DEBIAN, *BUILT]:
            sys.stdout.write(f"{name}: {find(name)}\n")
    except Missing as missing:
        sys.stderr.write(f"missing: {missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
