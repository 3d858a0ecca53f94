"""Draws that are numbered through and through: momenta, uniform numbers, noise, by `fast.philox`.

    draws = numbered(seed=1, trajectories=[n, n], phase=0)  # of two chains

What is drawn depends on (seed, chain, trajectory, phase), on the site in the whole lattice, the
direction and the component, and on nothing else: not on the device, the threads or the chains
beside. See counter.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from l2hmc_bridge.fast import normal
from l2hmc_bridge.fast.philox import fine_uniform, philox
from l2hmc_bridge.fields import part
from l2hmc_bridge.fields.layout import extents
from l2hmc_bridge.sampling import counter
from l2hmc_bridge.sampling.draws import require_one_each
from l2hmc_bridge.systems.groups import Group


@dataclass(frozen=True)
class Chain:
    """One chain in one trajectory; `drawn` counts what it drew for each purpose so far."""

    seed: int
    chain: int
    trajectory: int
    phase: int
    drawn: Counter[int] = field(default_factory=Counter)

    def words(self, purpose: int) -> counter.Words:
        """The words of its counters for this purpose."""
        return counter.words(self.seed, self.chain, self.trajectory,
                             counter.purpose(purpose, self.phase))

    def next(self, purpose: int) -> int:
        """How often it drew for this purpose before, now once more."""
        self.drawn[purpose] += 1
        return self.drawn[purpose] - 1


@dataclass(frozen=True)
class Numbered:
    """The numbered draws of one trajectory of each chain of a batch."""

    chains: tuple[Chain, ...]

    @property
    def shared(self) -> bool:
        return False

    def momenta(self, links: Tensor, group: Group) -> Tensor:
        words, calls = self._next(counter.MOMENTA, len(links))
        if group.name == "su3":
            held = part.of(links) or part.whole(extents(links))
            sites = held.sites().to(links.device)
            return normal.momenta(sites, words, calls).to(links).view_as(links)
        numbers = torch.arange(links[0].numel(), device=links.device)
        return normal.normals(numbers, words, calls, 1)[..., 0].to(links).view_as(links)

    def links(self, held: part.Part) -> Tensor:
        """Haar-random links of a part of a lattice, [Nb,4,...,3,3]."""
        drawn = normal.haar(held.sites(), self.words(len(self.chains), counter.LINKS))
        return drawn.view(len(self.chains), 4, *held.held, 3, 3)

    def uniform(self, chains: int) -> Tensor:
        words, calls = self._next(counter.UNIFORM, chains)
        drawn = philox(torch.stack((torch.zeros_like(calls), calls, words[:, 2], words[:, 3]), -1),
                       words[:, :2])
        return fine_uniform(drawn[:, 0], drawn[:, 1])

    def normal(self, chains: int, shape: tuple[int, ...]) -> Tensor:
        words, calls = self._next(counter.NOISE, chains)
        numbers = torch.arange(torch.Size(shape).numel())
        return normal.normals(numbers, words, calls, 1)[..., 0].reshape(chains, *shape)

    def words(self, chains: int, purpose: int) -> Tensor:
        require_one_each(len(self.chains), chains)
        return counter.stacked([one.words(purpose) for one in self.chains])

    def of(self, rows: Sequence[int]) -> "Numbered":
        return Numbered(tuple(self.chains[row] for row in rows))

    def _next(self, purpose: int, chains: int) -> tuple[Tensor, Tensor]:
        """The words of each chain and how often it drew for this purpose before."""
        return (self.words(chains, purpose),
                torch.tensor([one.next(purpose) for one in self.chains]))


def numbered(seed: int, trajectories: Sequence[int], phase: int = 0) -> Numbered:
    """The draws of trajectory `trajectories[chain]` of each chain in a phase of a stream."""
    return Numbered(tuple(Chain(seed, chain, number, phase)
                          for chain, number in enumerate(trajectories)))
