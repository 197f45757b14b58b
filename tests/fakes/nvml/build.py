"""Compiles the fake libnvidia-ml.so.1 once for each state of its source."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.fakes import built

SOURCE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"


def compiler() -> str | None:
    """The C compiler on PATH, or None."""
    return shutil.which("cc") or shutil.which("gcc")


def library(*, old_driver: bool = False) -> Path:
    """The compiled library.

    Args:
        old_driver: without the symbols that drivers before R510 lack.

    Raises:
        RuntimeError: no compiler, or it refuses the source.
    """
    flags = ["-DOLD_DRIVER"] if old_driver else []
    digest = hashlib.sha256(SOURCE.read_bytes() + str(flags).encode()).hexdigest()[:16]
    target = built.folder("nvml", digest) / NAME
    if target.exists():
        return target
    program = compiler()
    if program is None:
        raise RuntimeError("no C compiler (cc, gcc) on PATH to build the fake NVML with")
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        fresh = Path(directory) / NAME
        command = [program, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *flags]
        command += [f"-Wl,-soname,{NAME}", "-o", str(fresh), str(SOURCE), "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the fake NVML does not compile:\n{done.stderr}")
        fresh.replace(target)
    return target
