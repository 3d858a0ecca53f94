"""Terms that stand in for a host's: rectangle actions of ours, for fingerprints and the gate."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import HostTerm
from l2hmc_bridge.systems.actions import GaugeAction

BETA, C1 = 0.8, -0.2  # of the first level; half of this beta for each level further out

Force = Callable[[Tensor], Tensor]


def stand_in(name: str, number: int, spoil: Callable[[Force], Force] = lambda force: force
             ) -> HostTerm:
    """The term of level `number` (from 0), its force as `spoil` leaves it."""
    action = GaugeAction(BETA / 2**number, C1)
    return HostTerm(name, action, spoil(action.force))


def on_stand_ins(kernel: Nested, spoil: Callable[[Force], Force] = lambda force: force) -> Nested:
    """The kernel with one such term in place of all those of each level."""
    levels = tuple(Level(level.name, (stand_in(f"stand-in of {level.name}", number, spoil),),
                         level.plan, level.repeats)
                   for number, level in enumerate(kernel.levels))
    return replace(kernel, levels=levels)
