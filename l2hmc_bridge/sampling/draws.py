"""How randomness comes in: who draws momenta and uniform numbers for the chains of a batch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling import counter
from l2hmc_bridge.systems.groups import GROUPS, Group

CHAINS, TRAJECTORIES = 2**10, 2**22  # that `trajectory_generator` tells apart


class Draws(Protocol):
    """Random numbers of one step for all chains of a batch."""

    @property
    def shared(self) -> bool:
        """Whether one generator serves all chains, so that what it chooses holds for all."""

    def momenta(self, links: Tensor, group: Group) -> Tensor:
        """Momenta like links, every component ~ N(0,1): on SU(3) P = sum_a p_a T_a, on U(1) v."""

    def uniform(self, chains: int) -> Tensor:
        """Uniform numbers in [0, 1), float64 [chains] in main memory."""

    def normal(self, chains: int, shape: tuple[int, ...]) -> Tensor:
        """Numbers ~ N(0,1) for a host's noise, float64 [chains, *shape] in main memory."""

    def words(self, chains: int, purpose: int) -> Tensor:
        """What numbers the numbered draws of each chain (see counter.py), int64 [chains, 4]."""

    def of(self, rows: Sequence[int]) -> "Draws":
        """The draws of these chains alone."""


@dataclass(frozen=True)
class One:
    """One generator for all chains."""

    generator: torch.Generator

    @property
    def shared(self) -> bool:
        return True

    def momenta(self, links: Tensor, group: Group) -> Tensor:
        return group.draw(links.shape, self.generator, links.device).to(links)

    def uniform(self, chains: int) -> Tensor:
        return torch.rand(chains, generator=self.generator, dtype=torch.float64,
                          device=self.generator.device).cpu()

    def normal(self, chains: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(chains, *shape, generator=self.generator, dtype=torch.float64,
                           device=self.generator.device).cpu()

    def words(self, chains: int, purpose: int) -> Tensor:
        return counter.drawn(self.generator, chains, purpose)

    def of(self, rows: Sequence[int]) -> "One":
        return self


def require_one_each(found: int, chains: int) -> None:
    """Raise ConfigError unless there are draws for each of `chains` chains, and for no other."""
    if found != chains:
        raise ConfigError(f"generators: expected one for each of {chains} chain(s), found {found} "
                          "(a torch.Generator that is in no list serves all chains)")


@dataclass(frozen=True)
class PerChain:
    """A generator for each chain, so that each chain can be replayed alone.

    Raises ConfigError when it is to draw for more or fewer chains.
    """

    generators: tuple[torch.Generator, ...]

    @property
    def shared(self) -> bool:
        return False

    def momenta(self, links: Tensor, group: Group) -> Tensor:
        parts = [group.draw(links.shape[1:], each, links.device) for each in self._of(len(links))]
        return torch.stack(parts).to(links)

    def uniform(self, chains: int) -> Tensor:
        return torch.cat([One(generator).uniform(1) for generator in self._of(chains)])

    def normal(self, chains: int, shape: tuple[int, ...]) -> Tensor:
        return torch.cat([One(generator).normal(1, shape) for generator in self._of(chains)])

    def words(self, chains: int, purpose: int) -> Tensor:
        return torch.cat([counter.drawn(one, 1, purpose) for one in self._of(chains)])

    def of(self, rows: Sequence[int]) -> "PerChain":
        return PerChain(tuple(self.generators[row] for row in rows))

    def _of(self, chains: int) -> tuple[torch.Generator, ...]:
        require_one_each(len(self.generators), chains)
        return self.generators


@dataclass(frozen=True)
class OfTrajectory(PerChain):
    """The draws of one trajectory of each chain: all of them can be replayed from three numbers."""

    seed: int
    trajectories: tuple[tuple[int, int], ...]  # (chain, number) of each

    def words(self, chains: int, purpose: int) -> Tensor:
        require_one_each(len(self.trajectories), chains)
        return counter.stacked([counter.words(self.seed, chain, number, purpose)
                                for chain, number in self.trajectories])

    def of(self, rows: Sequence[int]) -> "OfTrajectory":
        return OfTrajectory(tuple(self.generators[row] for row in rows), self.seed,
                            tuple(self.trajectories[row] for row in rows))


@dataclass(frozen=True)
class Share:
    """Draws for `total` chains and keeps first to last: the part of one of several processes."""

    generator: torch.Generator
    first: int
    last: int
    total: int

    @property
    def shared(self) -> bool:
        return True

    def momenta(self, links: Tensor, group: Group) -> Tensor:
        whole = group.draw((self.total, *links.shape[1:]), self.generator, links.device)
        return whole[self.first:self.last].to(links)

    def uniform(self, chains: int) -> Tensor:
        return One(self.generator).uniform(self.total)[self.first:self.last]

    def normal(self, chains: int, shape: tuple[int, ...]) -> Tensor:
        return One(self.generator).normal(self.total, shape)[self.first:self.last]

    def words(self, chains: int, purpose: int) -> Tensor:
        return counter.drawn(self.generator, self.total, purpose)[self.first:self.last]

    def of(self, rows: Sequence[int]) -> "Share":
        return self


# What a caller may give: one generator for all chains, one per chain, or draws of another kind.
Generators = torch.Generator | Sequence[torch.Generator] | Draws


def draws_of(source: Generators) -> Draws:
    """The draws of what a caller gave; ConfigError for what draws nothing."""
    if isinstance(source, torch.Generator):
        return One(source)
    if isinstance(source, list | tuple) and source and all(
            isinstance(one, torch.Generator) for one in source):
        return PerChain(tuple(source))
    if not hasattr(source, "momenta"):
        empty = isinstance(source, list | tuple) and not source
        found = "an empty list" if empty else type(source).__name__
        raise ConfigError("generators: expected a torch.Generator, or a list with one for each "
                          f"chain, found {found}")
    return source  # type: ignore[return-value]


def draw_momenta(links: Tensor, source: Generators, group: Group = GROUPS["su3"]) -> Tensor:
    """Momenta like links from any kind of generators; drawn on their device, then moved."""
    return draws_of(source).momenta(links, group)


def draw_uniform(chains: int, source: Generators) -> Tensor:
    """Uniform numbers in [0, 1), float64 [chains], from any kind of generators."""
    return draws_of(source).uniform(chains)


def draw_normal(chains: int, shape: tuple[int, ...], source: Generators) -> Tensor:
    """Numbers ~ N(0,1), float64 [chains, *shape], from any kind of generators."""
    return draws_of(source).normal(chains, shape)


def trajectory_generator(seed: int, chain: int, trajectory: int,
                         device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of one trajectory of one chain, so that it can be replayed alone.

    It draws on `device`: momenta need not be moved there, and are others than on the CPU.
    torch's CPU generator has 2^32 seeds; chain < 2^10 and trajectory < 2^22 are mapped to
    them one to one (a bijective mixer after an offset that depends on `seed`). Raises ConfigError
    for others, which would draw what another chain or trajectory draws.
    """
    for name, number, end in (("chain", chain, CHAINS), ("trajectory", trajectory, TRAJECTORIES)):
        if not 0 <= number < end:
            raise ConfigError(f"generator: expected a {name} from 0 to {end - 1}, found {number}")
    offset = int.from_bytes(hashlib.sha256(str(int(seed)).encode()).digest()[:4], "big")
    word = (offset + chain * TRAJECTORIES + trajectory) % 2**32
    for multiplier, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):  # MurmurHash3 finaliser
        word = ((word ^ (word >> shift)) * multiplier) % 2**32
    return torch.Generator(device).manual_seed(word ^ (word >> 16))


def trajectory_draws(seed: int, numbers: Sequence[int], device: torch.device | str = "cpu"
                     ) -> OfTrajectory:
    """The draws of trajectory `numbers[chain]` of each chain, numbered or from generators."""
    generators = tuple(trajectory_generator(seed, chain, number, device)
                       for chain, number in enumerate(numbers))
    return OfTrajectory(generators, seed, tuple(enumerate(numbers)))
