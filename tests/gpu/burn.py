"""Keeps the SMs of a GPU busy, with nothing but the driver: `python -m tests.gpu.burn SECONDS`.

The kernel is PTX text that the driver compiles, so that no CUDA toolkit and no framework is needed.
Which GPU it runs on says CUDA_VISIBLE_DEVICES, by UUID: CUDA numbers GPUs by speed, NVML by place.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
MEMORY_BYTES = 512 << 20
BLOCKS, THREADS, ROUNDS = 2048, 256, 200_000

_PTX = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry burn(.param .u64 out, .param .u32 rounds)
{
    .reg .pred %p<2>;
    .reg .b32 %r<4>;
    .reg .f32 %f<3>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [rounds];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r2, 0;
    mov.f32 %f1, 0f3F800001;
again:
    fma.rn.f32 %f1, %f1, %f1, %f1;
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p1, %r2, %r1;
    @%p1 bra again;
    st.global.f32 [%rd2], %f1;
    ret;
}
\0"""


def cuda_is_there() -> bool:
    """Whether the driver's CUDA library can be loaded."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def burn(seconds: float) -> None:
    """Runs kernels on the first visible GPU for so long; says `burning` once it does.

    Raises:
        RuntimeError: the driver refused a call.
    """
    cuda = ctypes.CDLL("libcuda.so.1")

    def check(name: str, *arguments: object) -> None:
        code = getattr(cuda, name)(*arguments)
        if code:
            raise RuntimeError(f"{name}: CUDA error {code}")

    device, context, module, function = (
        ctypes.c_int(),
        ctypes.c_void_p(),
        ctypes.c_void_p(),
        ctypes.c_void_p(),
    )
    memory = ctypes.c_uint64()
    check("cuInit", 0)
    check("cuDeviceGet", ctypes.byref(device), 0)
    check("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    check("cuCtxSetCurrent", context)
    check("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(_PTX))
    check("cuModuleGetFunction", ctypes.byref(function), module, ctypes.c_char_p(b"burn"))
    check("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(MEMORY_BYTES))
    rounds = ctypes.c_uint32(ROUNDS)
    parameters = (ctypes.c_void_p * 2)(
        ctypes.cast(ctypes.byref(memory), ctypes.c_void_p),
        ctypes.cast(ctypes.byref(rounds), ctypes.c_void_p),
    )
    until = time.monotonic() + seconds
    reported = False
    while time.monotonic() < until:
        grid = (BLOCKS, 1, 1, THREADS, 1, 1)
        check("cuLaunchKernel", function, *grid, 0, None, parameters, None)
        check("cuCtxSynchronize")
        if not reported:
            reported = True
            print("burning", flush=True)


class Burner:
    """`burn` as a process of its own, from when it burns until the end of the block.

    Args:
        uuid: of the GPU to burn on.
    """

    def __init__(self, uuid: str, seconds: float = 120.0) -> None:
        command = [sys.executable, "-m", "tests.gpu.burn", str(seconds)]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": uuid}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        """As this pid namespace has it."""
        return self._process.pid

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"burning\n":
            self._end()
            raise RuntimeError("nothing burns; standard error says why")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


if __name__ == "__main__":
    burn(float(sys.argv[1]))
