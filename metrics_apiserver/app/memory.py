"""The C allocator's share of the memory: one arena for all threads.

glibc gives each thread that allocates an arena of its own, and an arena keeps what its largest
answer took. The threads here take turns anyway, so that further arenas would only hold memory; with
150 000 pods in one answer it is a third of the whole. Elsewhere than on glibc nothing is changed.
Source: mallopt(3), M_ARENA_MAX.
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8


def keep_one_arena() -> bool:
    """Whether the allocator agreed; to be called before the first thread starts."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))
