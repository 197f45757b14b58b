from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Threads that allocate at the same time, then what the allocator itself says of its arenas.
PROGRAM = """
import ctypes, sys, threading
from metrics_apiserver.app import memory

if sys.argv[1] == "one":
    assert memory.keep_one_arena()
together = threading.Barrier(4)

def allocate():
    together.wait()
    held = [bytes(3000) for _ in range(1000)]
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


def arenas(how: str) -> int:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return said.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_one_arena() -> None:
    assert arenas("many") > 1
    assert arenas("one") == 1
