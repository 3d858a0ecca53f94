"""Buffers that are used again: first-touched pages cost more than the kernels that fill them."""

import threading
from collections import OrderedDict

import torch
from torch import Tensor

LIMIT = 1 << 28  # bytes kept in all


class Scratch:
    """Uninitialised float64 tensors by shape; safe to use from several threads."""

    def __init__(self, limit: int = LIMIT):
        self.limit = limit
        self.kept = 0
        self._lock = threading.Lock()
        self._free: OrderedDict[tuple[int, ...], list[Tensor]] = OrderedDict()

    def take(self, shape: tuple[int, ...]) -> Tensor:
        """A tensor of this shape with any contents."""
        with self._lock:
            waiting = self._free.get(shape)
            if waiting:
                tensor = waiting.pop()
                self.kept -= tensor.nbytes
                return tensor
        return torch.empty(shape, dtype=torch.float64)

    def give(self, *tensors: Tensor) -> None:
        """Hand tensors back that nobody else holds; the oldest shapes go first beyond `limit`."""
        with self._lock:
            for tensor in tensors:
                shape = tuple(tensor.shape)
                self._free.setdefault(shape, []).append(tensor)
                self._free.move_to_end(shape)
                self.kept += tensor.nbytes
            while self.kept > self.limit and self._free:
                _, dropped = self._free.popitem(last=False)
                self.kept -= sum(one.nbytes for one in dropped)


SCRATCH = Scratch()
