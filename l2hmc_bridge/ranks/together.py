"""Several processes that run a verb together: `crew.Crew` of those that were started so."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.crew import Crew
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.steps import require_one_program
from l2hmc_bridge.ranks.world import World, joined
from l2hmc_bridge.systems.actions import cold_start

Made = TypeVar("Made")


@dataclass(frozen=True)
class Ranks:
    """All processes, and how each lattice is cut."""

    world: World
    ranks: str
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
def crew(ranks: str) -> Iterator[Crew]:
    """The processes that were started together; `ranks` says how they share a lattice.

    Raises ConfigError, StreamError.
    """
    with joined() as world:
        require_one_program(world)
        if not fast.compiled(cold_start((2, 2, 2, 2))):
            raise ConfigError("ranks: expected the compiled kernels, found none (install with a "
                              "C++ compiler)")
        yield Ranks(world, ranks)
