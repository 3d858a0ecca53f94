"""Stands in for CUDA graphs: operations of torch and launches of kernels in main memory, recorded.

What a capture records is not computed before a replay: until then memory holds NaN. A replay does
the same, with the numbers of the capture, to the same memory. To read a number or to bring one from
Python during a capture raises an error, as on a GPU, unless the stand-in is `lenient`: then it is
what it is at the capture. (What `.cpu()` would wait for is not seen here: see test_device.py.)
"""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from l2hmc_bridge.fast.gpu import launch
from l2hmc_bridge.fast.gpu.graphs import Captured, Fields

WAITING = ("aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero", "aten::nonzero",
           "aten::lift_fresh")


class Tape(TorchDispatchMode):
    """What was done in a block, to be done again."""

    def __init__(self, lenient: bool):
        super().__init__()
        self.lenient, self.steps, self.launched = lenient, [], launch._start

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        if function.name() in WAITING and not self.lenient:
            raise RuntimeError(f"{function.name()}: not permitted when stream is capturing")
        places = zip(function._schema.arguments, arguments, strict=False)
        written = [value for place, value in places
                   if place.alias_info is not None and place.alias_info.is_write]
        if written:
            self.steps.append(functools.partial(function, *arguments, **options))
            return written[0] if len(written) == 1 else tuple(written)
        found = function(*arguments, **options)
        made = tree_leaves(found)
        if function.name() in WAITING or _memory(made) <= _memory((*arguments, *options.values())):
            return found  # a number, or another view of the same memory
        if "empty" not in function.name():
            self.steps.append(functools.partial(_again, function, arguments, options, made))
        for one in made:
            one.fill_(math.nan if one.is_floating_point() or one.is_complex() else 77)
        return found

    def start(self, *given) -> None:
        """A kernel."""
        self.steps.append(functools.partial(self.launched, *given))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """All that is done in this block."""
        launch._start = self.start
        try:
            with self:
                yield
        finally:
            launch._start = self.launched

    def replay(self) -> None:
        """Do it."""
        for step in self.steps:
            step()


class Recorded:
    """A runtime of graphs; `fails`: an error instead of a capture."""

    def __init__(self, lenient: bool = False, fails: Exception | None = None):
        self.lenient, self.fails = lenient, fails
        self.captures = self.replays = 0
        self.tape: Tape | None = None  # of the last capture
        self._busy = False

    def ready(self, device: torch.device) -> bool:
        return not self._busy

    def capture(self, device: torch.device, call: Callable[[], Fields]) -> Captured:
        self._busy = True
        try:
            call()
            if self.fails is not None:
                raise self.fails
            self.tape = Tape(self.lenient)
            with self.tape.recording():
                found = call()
        finally:
            self._busy = False
        self.captures += 1
        return Captured(functools.partial(self._replay, self.tape), found)

    def _replay(self, tape: Tape) -> None:
        self.replays += 1
        tape.replay()


def _memory(values) -> set[int]:
    return {one.untyped_storage().data_ptr() for one in tree_leaves(values)
            if isinstance(one, Tensor)}


def _again(function, arguments, options, made) -> None:
    for own, one in zip(made, tree_leaves(function(*arguments, **options)), strict=True):
        own.copy_(one)
