"""Where the fakes put what they compile: `.cache` of the tree, or, when that is read-only, a folder
of this process that goes when it ends.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import lru_cache
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"


@lru_cache(maxsize=1)
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="metrics-apiserver-tests-")


def folder(*parts: str) -> Path:
    """A folder that can be written to, the same each time."""
    path = CACHE.joinpath(*parts)
    with contextlib.suppress(OSError):
        path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        path = Path(_scratch().name).joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
    return path
