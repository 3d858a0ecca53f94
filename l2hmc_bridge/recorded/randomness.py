"""Which random numbers a stream draws: numbered ones, or those of torch's generators.

"philox": numbers by chain, trajectory, phase, site and direction (sampling/numbered.py), the same
on every device, and sums over the lattice that are exact (fields/part.py): such a stream is the
same however its lattice is cut. "torch": a generator for each chain and trajectory, whose numbers
depend on the device that draws; streams of earlier versions, which do not say, go on with these.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from l2hmc_bridge.fields import part
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.sampling.draws import (
    TRAJECTORIES,
    Draws,
    PerChain,
    trajectory_draws,
    trajectory_generator,
)
from l2hmc_bridge.sampling.numbered import numbered

TORCH, PHILOX = KINDS = ("torch", "philox")
# Trajectory numbers as torch's generators count them (22 bits): recorded ones use the lower half.
RECORDED = 2**21
TUNING, THERMALISATION = RECORDED, RECORDED + 2**19
REVERSIBILITY, START, GATE = RECORDED + 2**20, TRAJECTORIES - 1, TRAJECTORIES - 2
PHASES = {TUNING: 1, THERMALISATION: 2, REVERSIBILITY: 3, START: 4, GATE: 5}


@contextmanager
def arithmetic(kind: str, links: Tensor) -> Iterator[None]:
    """The sums of a stream of this kind at `links`, which may be those of a part of a lattice."""
    if kind != PHILOX:
        yield
        return
    with part.exactly(links):
        yield


def recorded(
    kind: str, seed: int, numbers: Sequence[int], device: torch.device, chains: Chains = ALL
) -> Draws:
    """The draws of the recorded trajectory `numbers[chain]` of each chain, of the own ones."""
    if kind == PHILOX:
        drawn: Draws = numbered(seed, numbers)
    else:
        drawn = trajectory_draws(seed, [number % RECORDED for number in numbers], device)
    return drawn.of(chains.own(range(len(numbers))))


def reserved(
    kind: str, seed: int, count: int, purpose: int, number: int = 0, chains: Chains = ALL
) -> Draws:
    """The draws of each of `count` chains for `purpose` (TUNING, ...), of the own ones.

    None that a recorded trajectory has.
    """
    if kind == PHILOX:
        drawn: Draws = numbered(seed, [number] * count, PHASES[purpose])
    else:
        number = (purpose + number % 2**19) % TRAJECTORIES  # beyond 2^19 another purpose begins
        drawn = PerChain(tuple(trajectory_generator(seed, chain, number)
                               for chain in range(count)))
    return drawn.of(chains.own(range(count)))
