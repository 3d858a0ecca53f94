"""Who runs the updates of a host's stream: this process alone, or several, each with its part.

    with hands(ranks) as those:
        host = those.made(lambda: recognised(path))  # rank 0 looks, all know
        with those.holding(lambda: outline):  # from here on fields are those of a part
            ...
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch

from l2hmc_bridge.fast.devices import device_of
from l2hmc_bridge.fields.part import Extents, holding
from l2hmc_bridge.ranks.books import Together
from l2hmc_bridge.ranks.steps import (
    listener,
    on_device,
    on_rank_0,
    require_one_program,
    share_of,
)
from l2hmc_bridge.ranks.world import World, joined
from l2hmc_bridge.recorded.specs import KernelSpec, StreamKernel
from l2hmc_bridge.storage.together import Itself
from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.progress import Progress, Silent, Stop

Made = TypeVar("Made")


class Outline(NamedTuple):
    """What says how a lattice (t, x, y, z) may be cut, known before any link is read."""

    kernel: StreamKernel
    spec: KernelSpec
    lattice: Extents


class Hands(Protocol):
    """All processes of a run."""

    @property
    def device(self) -> torch.device:
        """Where this process computes."""

    @property
    def note(self) -> str:
        """Why what neighbours swap takes a longer way, if it does."""

    def made(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes, on every rank; every rank raises its error."""

    def entered(self, context: AbstractContextManager[object]) -> AbstractContextManager[None]:
        """A context that rank 0 enters; what it refuses, all ranks refuse."""

    def holding(self, outline: Callable[[], Outline]) -> AbstractContextManager[None]:
        """Hold a part of the lattice. Raises ConfigError for ranks that do not fit."""

    def deadline(self, stop: Stop) -> Deadline:
        """A deadline of all: a reason of one of them is a reason of all."""

    def listener(self, progress: Progress | None) -> Progress:
        """Who is told; of several processes the first one's alone."""


@dataclass(frozen=True)
class Alone(Itself):
    """This process by itself, on its `device`."""

    device: torch.device
    note = ""

    @contextmanager
    def entered(self, context: AbstractContextManager[object]) -> Iterator[None]:
        with context:
            yield

    def holding(self, outline: Callable[[], Outline]) -> AbstractContextManager[None]:
        return nullcontext()

    def deadline(self, stop: Stop) -> Deadline:
        return Deadline(None, stop)

    def listener(self, progress: Progress | None) -> Progress:
        return progress or Silent()


@dataclass(frozen=True)
class Several:
    """Processes that were started together; `ranks` says how they share a lattice.

    device: of this one.
    """

    world: World
    ranks: str
    device: torch.device
    note: str

    def made(self, make: Callable[[], Made]) -> Made:
        return self.world.made(make)

    def entered(self, context: AbstractContextManager[object]) -> AbstractContextManager[None]:
        return on_rank_0(self.world, context)

    @contextmanager
    def holding(self, outline: Callable[[], Outline]) -> Iterator[None]:
        kernel, spec, lattice = self.world.each(outline)
        share = share_of(self.world, self.ranks, kernel, spec, lattice, device=self.device)
        with holding(share.part):
            yield

    def deadline(self, stop: Stop) -> Deadline:
        return Together(self.world, None, stop)

    def listener(self, progress: Progress | None) -> Progress:
        return listener(self.world, progress)


@contextmanager
def hands(ranks: str | None, device: str = "cpu") -> Iterator[Hands]:
    """This process, or with `ranks` ("X,Y,Z,T" or "auto") those started together with it.

    Each on its own device of this name. Raises ConfigError, StreamError.
    """
    if ranks is None:
        yield Alone(device_of(device))
        return
    with joined() as world:
        require_one_program(world)
        world, place, note = on_device(world, device)
        yield Several(world, ranks, place, note)
