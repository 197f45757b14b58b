"""The Go oracle: what Go's own libraries make of an input, over a pipe.

Its source is `tests/property/oracle`; `tests.programs` builds it where there is a Go toolchain.
"""

from __future__ import annotations

import json
import subprocess
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def is_settled(text: str) -> bool:
    """Whether Unicode 3.2 had these characters as they are now, so that Go's tables agree."""
    old = unicodedata.ucd_3_2_0
    return all(old.category(char) == unicodedata.category(char) != "Cn" for char in text)


class Oracle:
    """One running oracle; `ask` sends an input and returns its result."""

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
