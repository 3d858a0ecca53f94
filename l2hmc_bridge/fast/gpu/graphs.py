"""Calls on small fields on a GPU as CUDA graphs: captured when they come again, then replayed.

To start a kernel from Python takes 10 to 30 us, and a kernel runs for about 1 ns per site: up to
MOST_SITES the GPU waits for launches. A graph holds all launches of one call, numbers included, and
starts them at once; fields are copied into its memory, and what it found out of it. It serves once
it gave, bit for bit, what launches one by one give for the fields of the call and for others. If it
does not, or cannot be captured, a warning says so, and all kernels are launched one by one from
then on, or those of that call where memory was what lacked; L2HMC_BRIDGE_GRAPHS=off in the
environment has all so from the start.
"""

import contextlib
import functools
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from l2hmc_bridge.fields import part as parts, su3

SWITCH = "L2HMC_BRIDGE_GRAPHS"  # "off": no graphs
MOST_SITES = 1 << 15  # of all chains: 1 ns each, a kernel then runs as long as a slow launch takes
MOST_MOVES = 4096  # of a graph, which has a node for every kernel
MOST_GRAPHS = 8  # that are kept: each holds what a trajectory needs, up to 200 MB
IDLE = 100  # calls after which a graph that none of them used makes room
REMEMBERED = 64  # calls that came once
MATRICES = 64  # of which the other fields are made
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

Fields = tuple[Tensor, ...]
Function = Callable[..., Fields]  # of settings, links, algebra fields, real numbers; of no more

_one_by_one: ContextVar[bool] = ContextVar("l2hmc_bridge_one_by_one", default=False)


@contextlib.contextmanager
def one_by_one() -> Iterator[None]:
    """No graphs for the length of a with block, in this thread or task alone."""
    before = _one_by_one.set(True)
    try:
        yield
    finally:
        _one_by_one.reset(before)


class Captured(NamedTuple):
    """What starts a graph, and the memory in which it leaves what it finds."""

    replay: Callable[[], None]
    found: Fields


class Runtime(Protocol):
    """Who captures."""

    def ready(self, device: torch.device) -> bool:
        """Whether graphs may be captured and replayed there, here and now."""

    def capture(self, device: torch.device, call: Callable[[], Fields]) -> Captured:
        """The launches of a call, which is made once before: nothing of a replay."""


class Cuda:
    """torch.cuda."""

    def ready(self, device: torch.device) -> bool:
        """On the default stream of a GPU, where one replay follows the other and none captures."""
        return (device.type == "cuda"
                and torch.cuda.current_stream(device) == torch.cuda.default_stream(device))

    def capture(self, device: torch.device, call: Callable[[], Fields]) -> Captured:
        """On a stream of its own. The call before compiles kernels and makes what caches keep.

        Other threads may use the GPU meanwhile.
        """
        with torch.cuda.device(device):
            graph = torch.cuda.CUDAGraph()
            before, aside = torch.cuda.current_stream(), torch.cuda.Stream()
            try:
                aside.wait_stream(before)
                with torch.cuda.stream(aside):
                    call()
                before.wait_stream(aside)
                with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                    found = call()
            finally:
                torch.cuda.set_stream(before)  # a capture that fails may not go back to it
        return Captured(graph.replay, found)


class Graph:
    """A call as a graph, with memory for the fields that it is given."""

    def __init__(self, runtime: Runtime, function: Function, settings: Hashable, fields: Fields):
        self._given = tuple(torch.empty(one.shape, dtype=one.dtype, device=one.device)
                            for one in fields)
        self._fill(fields)
        self._captured = runtime.capture(
            fields[0].device, functools.partial(function, settings, *self._given))
        self.used = 0  # the number of the call that used it last

    def __call__(self, fields: Fields) -> Fields:
        """What the call finds for these fields, in memory of its own."""
        self._fill(fields)
        self._captured.replay()
        return tuple(one.clone() for one in self._captured.found)

    def _fill(self, fields: Fields) -> None:
        for own, one in zip(self._given, fields, strict=True):
            own.copy_(one)


class Graphs:
    """The graphs of a process; `on`: there are any."""

    def __init__(self, runtime: Runtime, on: bool = True):
        self.on, self._runtime = on, runtime
        self._graphs: OrderedDict[Hashable, Graph] = OrderedDict()  # last used last
        self._once: OrderedDict[Hashable, None] = OrderedDict()
        self._refused: set[Hashable] = set()  # for which there was no memory
        self._calls, self._lock = 0, threading.Lock()

    def run(self, function: Function, settings: Hashable, *fields: Tensor) -> Fields:
        """function(settings, *fields): launched one by one, or from its third time on a graph.

        The first field is links, others are algebra fields, and real numbers in the end; settings
        decide everything but them.
        """
        if not self._serves(fields):
            return function(settings, *fields)
        key = (function, settings, *((one.shape, one.dtype, one.device) for one in fields))
        with self._lock, torch.inference_mode(False), torch.no_grad():
            self._calls += 1
            graph = self._graphs.get(key)
            if graph is not None:
                self._graphs.move_to_end(key)
                graph.used = self._calls
                return graph(fields)
            found = function(settings, *fields)
            if key not in self._refused and self._again(key) and self._room():
                self._capture(key, function, settings, fields, found)
            return found

    def _serves(self, fields: Fields) -> bool:
        links = fields[0]
        return (self.on and not _one_by_one.get()
                and 0 < links.numel() <= 36 * MOST_SITES  # numbers of four links
                and not any(one.requires_grad for one in fields)
                and self._runtime.ready(links.device))

    def _again(self, key: Hashable) -> bool:
        """Whether such a call came before, so that one with ever new steps is never captured."""
        again = key in self._once
        self._once[key] = None
        self._once.move_to_end(key)
        if len(self._once) > REMEMBERED:
            self._once.popitem(last=False)
        return again

    def _room(self) -> bool:
        """Whether one more graph may be kept; those that are in use do not drive each other out."""
        if len(self._graphs) == MOST_GRAPHS:
            oldest = next(iter(self._graphs))
            if self._calls - self._graphs[oldest].used <= IDLE:
                return False
            del self._graphs[oldest]
        return True

    def _capture(self, key: Hashable, function: Function, settings: Hashable, fields: Fields,
                 found: Fields) -> None:
        """Keep the graph of a call that found this, if it finds the same bits; else none at all."""
        full = False
        try:
            others = other_fields(fields)
            graph = Graph(self._runtime, function, settings, fields)
            same = (same_bits(graph(fields), found)
                    and same_bits(graph(others), function(settings, *others)))
            why = "" if same else "a graph of it gave other bits"
        except Exception as error:  # whatever the driver of a GPU can raise
            why = f"no graph of it could be captured: {error}"
            full = isinstance(error, torch.OutOfMemoryError)
        if why:
            logging.getLogger(__name__).warning(
                "%s: %s, so that kernels are launched one by one: %s", fields[0].device,
                function.__name__, why)
            if full:  # other calls may need less
                self._refused.add(key)
            else:
                self.on = False
                self._graphs.clear()
            return
        graph.used = self._calls
        self._graphs[key] = graph
        del self._once[key]


def other_fields(fields: Fields) -> Fields:
    """Others of the same kind."""
    links, count = fields[0], sum(one.is_complex() for one in fields)
    return (*_drawn(links.shape, links.dtype, links.device, count),
            *(0.75 * one.roll(1) for one in fields[count:]))


@functools.lru_cache(maxsize=1)
def _drawn(shape: torch.Size, dtype: torch.dtype, device: torch.device, count: int) -> Fields:
    """Links, and after them algebra fields, of this shape: a choice of MATRICES at each link."""
    generator = torch.Generator("cpu").manual_seed(1)
    fields = []
    for draw in (su3.random_group, *[su3.random_algebra] * (count - 1)):
        matrices = draw((MATRICES,), generator).to(device, dtype)
        which = torch.randint(MATRICES, shape[:-2], generator=generator, device="cpu")
        fields.append(matrices[which.to(device)])
    return tuple(fields)


def same_bits(one: Fields, other: Fields) -> bool:
    """Whether these are the same, NaN included."""
    return len(one) == len(other) and all(map(torch.equal, map(_bits, one), map(_bits, other)))


def _bits(field: Tensor) -> Tensor:
    numbers = torch.view_as_real(field) if field.is_complex() else field
    return numbers.contiguous().view(BITS[numbers.element_size()])


GRAPHS = Graphs(Cuda(), os.environ.get(SWITCH, "on") != "off")


def run(function: Function, settings: Hashable, moves: int, *fields: Tensor) -> Fields:
    """`Graphs.run` of the process, unless there are too many moves or neighbours to wait for."""
    part = parts.of(fields[0])
    if moves > MOST_MOVES or (part is not None and part.cut):
        return function(settings, *fields)
    return GRAPHS.run(function, settings, *fields)
