"""Who draws which number: the words of the counters that `fast.philox` makes random numbers of.

    key        seed, its lower and its upper 32 bits
    counter 0  site, t x y z in the order of `links`, of the whole lattice
    counter 1  number of the draw at this site, counted by the algorithm (see fast/heatbath.py): of
               momenta 16 n + 4 direction + pair of components, n how often they were drawn before
    counter 2  trajectory
    counter 3  purpose 2^16 + chain; purpose what is drawn, and in which phase of a stream

No two draws of a stream share a counter. What a site draws is the same on any number of threads,
in any layout, on any device, and on any part of the lattice that one of several processes holds.
The four words that belong to a chain and not to a site are (key, key, counter 2, counter 3).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.philox import WORD

HEAT_BATH, MOMENTA, UNIFORM, NOISE, LINKS = range(1, 6)  # what is drawn
PHASES = 256  # that a purpose tells apart

Words = tuple[int, int, int, int]


def words(seed: int, chain: int, trajectory: int, purpose: int) -> Words:
    """The words of one chain in one trajectory. Raises ConfigError for numbers that do not fit."""
    for name, number, bits in (("seed", seed, 64), ("chain", chain, 16),
                               ("trajectory", trajectory, 32), ("purpose", purpose, 16)):
        if not 0 <= number < 2**bits:
            raise ConfigError(f"random numbers: expected a {name} below 2^{bits}, found {number}")
    return seed & WORD, seed >> 32, trajectory, purpose << 16 | chain


def purpose(drawn: int, phase: int) -> int:
    """Of what is drawn, in a phase of a stream: recorded trajectories are phase 0."""
    return phase * (2**16 // PHASES) + drawn


def stacked(chains: Sequence[Words]) -> Tensor:
    """The words of several chains, int64 [Nb, 4]."""
    return torch.tensor(chains, dtype=torch.int64).view(-1, 4)


def drawn(generator: torch.Generator, chains: int, purpose: int) -> Tensor:
    """Words under keys that a generator draws, int64 [chains, 4]: others at every call."""
    keys = torch.randint(0, WORD + 1, (chains, 2), generator=generator, dtype=torch.int64,
                         device=generator.device).cpu()
    place = torch.tensor([0, purpose << 16], dtype=torch.int64)
    return torch.cat((keys, place.expand(chains, 2)), dim=1)
