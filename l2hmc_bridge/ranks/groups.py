"""Chains spread over groups of processes, each of which shares the lattices of its own chains."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from l2hmc_bridge.ranks.world import World

Made = TypeVar("Made")


@dataclass(frozen=True)
class Groups:
    """`recorded.chains.Chains` of `world` in groups as large as `team`, that of this process.

    Each has equally many chains, one after the other, the first group the first ones.
    """

    world: World
    team: World

    @property
    def count(self) -> int:
        """How many groups there are."""
        return self.world.size // self.team.size

    @property
    def number(self) -> int:
        """That of this process's own one."""
        return self.world.rank // self.team.size

    def own(self, every: Sequence[Made]) -> Sequence[Made]:
        each = len(every) // self.count
        return every[self.number * each:(self.number + 1) * each]

    def every(self, own: Sequence[Made]) -> list[Made]:
        if self.count == 1:
            return list(own)
        return [one for group in self.world.told(list(own))[::self.team.size] for one in group]

    def largest(self, number: float) -> float:
        if self.count == 1:
            return number
        found = self.world.told(number)
        return math.nan if any(map(math.isnan, found)) else max(found)

    def of_first(self, make: Callable[[], Made]) -> Made:
        if self.count == 1:
            return make()
        made: list[Made] = []
        self.world.settled(lambda: made.append(make()) if self.number == 0 else None)
        return self.world.made(lambda: made[0])
