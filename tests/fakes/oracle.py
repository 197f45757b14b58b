"""The Go oracle: what Go's own libraries make of an input, asked over a pipe.

Its source is `tests/property/oracle`; it is built into `.cache/` when a Go toolchain is at hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes import built

_ROOT = Path(__file__).resolve().parents[2]
_SOURCE = _ROOT / "tests" / "property" / "oracle"


class OracleMissing(Exception):
    """Why there is no oracle on this machine."""


def build() -> Path:
    """Builds the oracle, quickly when it is built already.

    Raises:
        OracleMissing: no Go toolchain, or its modules cannot be had.
    """
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise OracleMissing("no Go toolchain")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    got = subprocess.run(
        [go, "mod", "download"], cwd=_SOURCE, env=environment, capture_output=True, check=False
    )
    if got.returncode:
        raise OracleMissing(f"no Go modules: {got.stderr.decode()[-200:]}")
    binary = built.folder() / "oracle"
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=_SOURCE, env=environment, check=True)
    return binary


def is_settled(text: str) -> bool:
    """Whether Unicode 3.2 had these characters as they are now, so that Go's tables agree."""
    old = unicodedata.ucd_3_2_0
    return all(old.category(char) == unicodedata.category(char) != "Cn" for char in text)


class Oracle:
    """One running oracle; `ask` is a question and its answer."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen(
            [str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, op: str, **question: Any) -> Mapping[str, Any]:
        """The answer's fields; `error` and `stage` are there only where Go refused."""
        process = self._process
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"op": op, **question}).encode() + b"\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        assert answer.get("stage") != "input", answer
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=10)
