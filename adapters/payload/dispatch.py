"""Which implementation serves a file: compiled kernels for large ones, numpy and torch else."""

import functools
import importlib
import os
from types import ModuleType

# From this size in bytes on, numba's start-up (a second, once in a lifetime ten) is well spent.
COMPILED_FROM = 1 << 25


def kernels(size: int) -> ModuleType | None:
    """The module of compiled byte loops, or None where numpy does."""
    return _load("byte_kernels") if size >= COMPILED_FROM else None


@functools.cache
def _load(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"{__package__}.{name}")
    except (ImportError, RuntimeError):  # no numba for this Python, or nowhere to cache
        return None


def threads() -> int:
    """How many threads move blocks: the processors this process may use, at most eight."""
    if hasattr(os, "sched_getaffinity"):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)
