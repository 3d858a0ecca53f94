"""Buffers that are used again: first-touched pages cost more than the kernels that fill them."""

import ctypes
import threading
from collections import OrderedDict

import torch
from torch import Tensor

LIMIT = 1 << 28  # bytes kept in all


class Scratch:
    """Uninitialised tensors by shape and dtype; safe to use from several threads."""

    def __init__(self, limit: int = LIMIT):
        self.limit = limit
        self.kept = 0
        self._lock = threading.Lock()
        self._free: OrderedDict[tuple, list[Tensor]] = OrderedDict()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
        """A tensor of this shape and dtype with any contents."""
        with self._lock:
            waiting = self._free.get((shape, dtype))
            if waiting:
                tensor = waiting.pop()
                self.kept -= tensor.nbytes
                return tensor
        return torch.empty(shape, dtype=dtype)

    def like(self, tensor: Tensor) -> Tensor:
        """`take` with the shape and dtype of a tensor."""
        return self.take(tuple(tensor.shape), tensor.dtype)

    def give(self, *tensors: Tensor) -> None:
        """Hand tensors back that nobody else holds; the oldest kinds go first beyond `limit`."""
        with self._lock:
            for tensor in tensors:
                kind = tuple(tensor.shape), tensor.dtype
                self._free.setdefault(kind, []).append(tensor)
                self._free.move_to_end(kind)
                self.kept += tensor.nbytes
            while self.kept > self.limit and self._free:
                _, dropped = self._free.popitem(last=False)
                self.kept -= sum(one.nbytes for one in dropped)


SCRATCH = Scratch()


def keep_memory() -> bool:
    """Let freed fields stay with this process instead of the system; True if that is possible.

    For a process that does nothing else: on the 16^4 lattice the kernel calls that return a field
    spend up to half their time on fresh pages. glibc's malloc only; it holds for the whole process.
    """
    try:
        change = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    largest = 2**31 - 1  # M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1
    return bool(change(-3, 1 << 30)) and bool(change(-1, largest))
