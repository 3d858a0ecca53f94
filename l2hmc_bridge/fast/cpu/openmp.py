"""The threads of torch, for the compiled kernels."""

import ctypes
from pathlib import Path

import torch


def use_threads_of_torch(kernels: ctypes.CDLL) -> None:
    """Kernels run on torch's threads if its OpenMP library has GNU's entry points.

    Threads of their own would compete for the cores with torch's, which stay awake for a while.
    """
    try:
        torch_cpu = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        team = [ctypes.cast(torch_cpu[name], ctypes.c_void_p)
                for name in ("GOMP_parallel", "omp_get_thread_num")]
    except (OSError, AttributeError):
        return
    kernels.use_team(*team)
