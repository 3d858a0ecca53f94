"""Several processes that run a verb together: `crew.Crew` of those that were started so."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.gpu import functions as gpu
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.crew import Crew
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.steps import on_device, require_one_program
from l2hmc_bridge.ranks.world import World, joined
from l2hmc_bridge.systems.actions import cold_start

Made = TypeVar("Made")


@dataclass(frozen=True)
class Ranks:
    """All processes, and how each lattice is cut. device: of this one."""

    world: World
    ranks: str
    device: torch.device
    note: str
    alone = False

    def made(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes, on every rank; every rank raises its error."""
        return self.world.made(make)

    @contextmanager
    def sharing(self, lattice: Callable[[], Sequence[int]], reach: int) -> Iterator[None]:
        """Hold a part of the lattice X,Y,Z,T. Raises ConfigError for ranks that do not fit it."""
        x, y, z, t = self.world.each(lattice)
        self.world.agreed("lattice", f"{x},{y},{z},{t}")
        grid = chosen(self.ranks, (t, x, y, z), self.world.size, reach, False)
        with holding(Share(self.world, grid, (t, x, y, z), reach).part):
            yield


@contextmanager
def crew(ranks: str, device: str = "cpu") -> Iterator[Crew]:
    """The processes that were started together; `ranks` says how they share a lattice.

    Each on its own device of this name. Raises ConfigError, StreamError.
    """
    with joined() as world:
        require_one_program(world)
        world, place, note = on_device(world, device)
        world.each(lambda: _require_kernels(place))
        yield Ranks(world, ranks, place, note)


def _require_kernels(device: torch.device) -> None:
    """Raise ConfigError unless kernels measure there: torch's formulas ask no neighbours."""
    links = cold_start((2, 2, 2, 2)).to(device)
    if not (fast.compiled(links) or (fast.backend(links) is gpu and gpu.measures(links))):
        raise ConfigError("ranks: expected the compiled kernels in main memory, or on a GPU "
                          "Triton's, that agree with torch there, found none of them (install "
                          "with a C++ compiler and --device cpu; pip install triton)")
