"""One lattice in the hands of all ranks: scattered, gathered, and what neighbours exchange."""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.collectives import home
from l2hmc_bridge.fields.part import Extents, Part, Single
from l2hmc_bridge.ranks.grid import Grid
from l2hmc_bridge.ranks.groups import Groups
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.sampling.markov import State

Made = TypeVar("Made")


@dataclass
class Traffic:
    """What was exchanged so far: messages and bytes sent, seconds waited."""

    messages: int = 0
    sent: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Neighbours:
    """What this rank tells the others of its lattice, `world`.

    files: those that read and write the same files.
    """

    world: World
    grid: Grid
    files: World
    traffic: Traffic = field(default_factory=Traffic)

    def total(self, numbers: Tensor) -> Tensor:
        """The sum over processes of whole numbers, int64."""
        summed = numbers.clone()  # in main memory, where exact sums are counted
        self.world.transport.total(summed)
        return summed

    def largest(self, numbers: Tensor) -> Tensor:
        """The largest over processes, element by element; NaN if any is."""
        here = numbers.cpu()
        found = torch.stack((here.nan_to_num(0.0), here.isnan().to(here)))
        self.world.transport.largest(found)
        return home(torch.where(found[1] > 0, torch.nan, found[0]), numbers)

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.files.first

    def agreed(self, error: Exception | None) -> None:
        """Raise on every rank the error of the lowest one that has one."""
        self.files.all_well(error)

    def made(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes of whole fields, on every rank; every rank raises its error."""
        return self.files.made(make)

    def scattered(self, part: Part, whole: Tensor | None) -> Tensor:
        """A field [Nb,4,...] of rank 0 as this rank holds it, copies of others included."""

        def described() -> tuple[int, ...]:
            if whole is None or tuple(whole.shape[2:6]) != part.lattice:
                raise LayoutError(f"ranks: expected a field on the lattice {part.lattice} "
                                  "(t, x, y, z), found another")
            return tuple(whole.shape)

        nb, n, _, _, _, _, *rest = self.world.made(described)
        parts = (self._part(part, rank).taken(whole) for rank in range(self.world.size)
                 if whole is not None)
        return self.world.sent(parts, (nb, n, *part.held, *rest), torch.complex128)

    def gathered(self, part: Part, held: Tensor) -> Tensor | None:
        """On rank 0 the whole field whose parts the ranks hold, elsewhere None."""
        mine = part.kept(held).contiguous().cpu()
        whole = (torch.empty(*held.shape[:2], *part.lattice, 3, 3, dtype=held.dtype)
                 if self.world.first else None)
        for rank in range(self.world.size):
            one = self.world.received(mine, rank)
            if whole is not None:
                other = self._part(part, rank)
                whole[(slice(None), slice(None), *(
                    slice(o, o + n) for o, n in zip(other.origin, other.extents, strict=True))
                       )] = one
        return whole

    def _part(self, mine: Part, rank: int) -> Part:
        """The part of another rank."""
        return self.grid.part(mine.lattice, rank, max(mine.halo), Single())

    def swap(self, mu: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        """What the neighbours in direction mu send: (from below, from above)."""
        lower, upper = (self.grid.beside(self.world.rank, mu, step) for step in (-1, 1))
        began = time.perf_counter()
        below, above = self.world.transport.swap(lower, upper, down.contiguous(),
                                                 up.contiguous())
        self.traffic.messages += 2
        self.traffic.sent += down.nbytes + up.nbytes
        self.traffic.seconds += time.perf_counter() - began
        return below, above


@dataclass(frozen=True)
class Share:
    """The part of this rank, and those of all others.

    world: those who share the lattice; run: all of several groups of them, each with chains of its
    own.
    """

    world: World
    grid: Grid
    lattice: Extents  # t, x, y, z
    halo: int
    run: World | None = None

    @property
    def part(self) -> Part:
        """The part of this rank, whose files are those of the ones who share the lattice."""
        return self._with_files_of(self.world)

    @property
    def part_of_all(self) -> Part:
        """The same, with files that all groups write together."""
        return self._with_files_of(self.everyone)

    @property
    def everyone(self) -> World:
        """All processes of the run."""
        return self.world if self.run is None else self.run

    @property
    def chains(self) -> Groups:
        """The chains of a stream, and those of this group."""
        return Groups(self.everyone, self.world)

    def _with_files_of(self, files: World) -> Part:
        return self.grid.part(self.lattice, self.world.rank, self.halo,
                              Neighbours(self.world, self.grid, files))

    def digest(self, held: Tensor) -> str:
        """`stream.begin.digest_of` of fields whose parts the ranks hold: rank 0 sees them go by."""
        sha, own = hashlib.sha256(), self.part.kept(held).cpu()
        places = itertools.product(range(self.chains.count), range(len(held)),
                                   range(held.shape[1]), range(self.lattice[0]))
        for group, chain, mu, t in places:
            whole = self._slice(own[chain, mu], t) if group == self.chains.number else None
            whole = self._at_first(whole, group * self.world.size, own)
            if whole is not None:
                sha.update(whole.numpy().data)
        return self.everyone.made(sha.hexdigest)

    def _at_first(self, whole: Tensor | None, rank: int, own: Tensor) -> Tensor | None:
        """On rank 0 of all the time slice that `rank` has, elsewhere what was given."""
        if self.everyone.rank not in (0, rank) or rank == 0:
            return whole
        if whole is None:
            whole = own.new_empty(*self.lattice[1:], *own.shape[6:])
        found = self.everyone.received(whole, rank)
        return found if self.everyone.first else None

    def _slice(self, own: Tensor, t: int) -> Tensor | None:
        """On rank 0 time slice t [Nx,Ny,Nz,3,3] of a field whose own sites are `own` here."""
        whole = (torch.empty(*self.lattice[1:], *own.shape[4:], dtype=own.dtype)
                 if self.world.first else None)
        for rank in range(self.world.size):
            part = self.grid.part(self.lattice, rank, self.halo, Single())
            at = t - part.origin[0]
            if not 0 <= at < part.extents[0] or self.world.rank not in (0, rank):
                continue
            mine = (own[at].contiguous() if self.world.rank == rank
                    else torch.empty(*part.extents[1:], *own.shape[4:], dtype=own.dtype))
            found = self.world.received(mine, rank)
            if whole is not None:
                whole[tuple(slice(o, o + n) for o, n in zip(
                    part.origin[1:], part.extents[1:], strict=True))] = found
        return whole

    def whole_state(self, state: State) -> State | None:
        """On rank 0 the state of the whole lattice, elsewhere None."""
        part = self.part
        links = part.network.gathered(part, state.links)
        force = None if state.force is None else part.network.gathered(part, state.force)
        return None if links is None else State(links, state.action, force)
