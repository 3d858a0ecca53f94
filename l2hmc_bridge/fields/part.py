"""The part of a lattice that this process holds: its own sites, and copies of those around them.

    with holding(part):
        ...  # fields have the extents `part.held`; sums run over the sites of all processes

A field of a part is periodic to everything that computes with it: what comes out near its edges is
wrong there and is replaced by what the neighbours have. Under a part, a whole lattice included,
sums are exact, so that their bits do not depend on the cut.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError

Extents = tuple[int, int, int, int]  # t, x, y, z
MOST_SITES = 3 << 26  # of a process: their K, 16 a site, is well below 2^32, see sums.py
MESSAGE = 1 << 20  # bytes of what is exchanged at once after a file was read
NOWHERE: Extents = (0, 0, 0, 0)
Made = TypeVar("Made")


class Network(Protocol):
    """What the processes that share a lattice tell each other."""

    def total(self, numbers: Tensor) -> Tensor:
        """The sum over processes of whole numbers, int64."""

    def largest(self, numbers: Tensor) -> Tensor:
        """The largest over processes, element by element; NaN if any is."""

    def swap(self, mu: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        """What the neighbours in direction mu send: (from below, from above)."""

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes for all."""

    def agreed(self, error: Exception | None) -> None:
        """Raise in all processes the error of the first one that has one."""

    def made(self, make: Callable[[], Made]) -> Made:
        """What the first process makes, or raises, in all."""

    def scattered(self, part: "Part", whole: Tensor | None) -> Tensor:
        """The field of a part [Nb,4,...] of the whole one that the first process has."""

    def gathered(self, part: "Part", field: Tensor) -> Tensor | None:
        """In the first process the whole field whose parts all hold, elsewhere None."""


class Single:
    """A process that shares its lattice with nobody."""

    first = True

    def agreed(self, error: Exception | None) -> None:
        if error is not None:
            raise error

    def made(self, make: Callable[[], Made]) -> Made:
        return make()

    def scattered(self, part: "Part", whole: Tensor | None) -> Tensor:
        if whole is None:
            raise LayoutError("part of a lattice: expected the whole field, found none")
        return part.taken(whole)

    def gathered(self, part: "Part", field: Tensor) -> Tensor | None:
        return part.kept(field)

    def total(self, numbers: Tensor) -> Tensor:
        return numbers

    def largest(self, numbers: Tensor) -> Tensor:
        return numbers

    def swap(self, mu: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        return up, down


@dataclass(frozen=True)
class Part:
    """Sites from `origin` of a `lattice`, `extents` of them, with `halo` more on both sides."""

    lattice: Extents
    origin: Extents
    extents: Extents
    halo: Extents = NOWHERE
    network: Network = field(default_factory=Single, compare=False)

    @property
    def held(self) -> Extents:
        """Extents of its fields, copies included."""
        t, x, y, z = (n + 2 * h for n, h in zip(self.extents, self.halo, strict=True))
        return t, x, y, z

    @property
    def own(self) -> tuple[slice, ...]:
        """Its own sites in a field of a part, (t, x, y, z)."""
        return tuple(slice(h, h + n) for n, h in zip(self.extents, self.halo, strict=True))

    @property
    def cut(self) -> tuple[int, ...]:
        """Directions with copies."""
        return tuple(mu for mu in range(4) if self.halo[mu])

    @property
    def volume(self) -> int:
        """Sites of the whole lattice."""
        return torch.Size(self.lattice).numel()

    @property
    def parity(self) -> int:
        """t + x + y + z modulo 2 of the first site of its fields in the whole lattice."""
        return (sum(self.origin) - sum(self.halo)) % 2

    def holds(self, links: Tensor) -> bool:
        """Whether `links` is a field of this part."""
        return tuple(links.shape[2:6]) == self.held

    def require(self, reach: int) -> None:
        """Raise LayoutError unless there are copies as far as this from its own sites."""
        for mu in self.cut:
            if self.halo[mu] < reach:
                raise LayoutError(f"part of a lattice: expected {reach} sites beside its own, "
                                  f"found {self.halo[mu]}: what looks so far runs on one rank")

    def coordinates(self) -> tuple[Tensor, ...]:
        """Of its sites in the whole lattice, along t, x, y and z, copies included."""
        return tuple(torch.arange(o - h, o + n + h) % whole for o, n, h, whole in zip(
            self.origin, self.extents, self.halo, self.lattice, strict=True))

    def sites(self) -> Tensor:
        """Numbers of its sites in the whole lattice, int64 [sites of its fields]."""
        numbers = torch.zeros((), dtype=torch.int64)
        for along, whole in zip(self.coordinates(), self.lattice, strict=True):
            numbers = numbers[..., None] * whole + along
        return numbers.flatten()

    def taken(self, whole: Tensor) -> Tensor:
        """The field of this part of a field [Nb,4,Nt,Nx,Ny,Nz,...] of the whole lattice."""
        for axis, along in enumerate(self.coordinates(), start=2):
            whole = whole.index_select(axis, along.to(whole.device))
        return whole.contiguous()

    def kept(self, held: Tensor) -> Tensor:
        """Its own sites of one of its fields."""
        return held[(slice(None), slice(None), *self.own)]


_current: ContextVar[Part | None] = ContextVar("l2hmc_bridge_part", default=None)


@contextmanager
def holding(part: Part | None) -> Iterator[None]:
    """Compute with fields of this part for the length of a with block; None: of no part."""
    before = _current.set(part)
    try:
        yield
    finally:
        _current.reset(before)


@contextmanager
def exactly(links: Tensor) -> Iterator[None]:
    """Sums over these links are exact: over those of all processes, or over a whole lattice."""
    if of(links) is not None:
        yield
        return
    nt, nx, ny, nz = links.shape[2:6]
    with holding(whole((nt, nx, ny, nz))):
        yield


def current() -> Part | None:
    """The part that this process computes with, if any."""
    return _current.get()


def of(links: Tensor) -> Part | None:
    """The part that `links` is a field of, if any."""
    part = _current.get()
    return part if part is not None and links.ndim == 8 and part.holds(links) else None


def shared(lattice: Extents) -> Part | None:
    """The part of this lattice that this process holds, if other processes hold the rest."""
    part = _current.get()
    return part if part is not None and part.lattice == lattice != part.extents else None


def lattice_of(links: Tensor) -> Extents:
    """(Nt, Nx, Ny, Nz) of the whole lattice of these links, however many processes share it."""
    held = of(links)
    nt, nx, ny, nz = links.shape[2:6] if held is None else held.lattice
    return nt, nx, ny, nz


def whole(lattice: Extents) -> Part:
    """All of a lattice. Sums of terms of one process that reach 2^32 are NaN: see sums.py."""
    return Part(lattice, NOWHERE, lattice)


def largest(number: Tensor, field: Tensor) -> float:
    """The largest over all processes of a number that each found on its part of `field`."""
    held = of(field)
    return float(number if held is None else held.network.largest(number))


def renew(part: Part, field: Tensor) -> None:
    """Replace the copies of other processes' sites in a field [Nb,4,...] of a part, in place."""
    numbers = torch.view_as_real(field) if field.is_complex() else field
    for direction in numbers.flatten(0, 1):
        for mu in part.cut:
            halo, extent = part.halo[mu], part.extents[mu]
            for one in _sheets(direction, mu, halo):
                below, above = part.network.swap(mu, one.narrow(mu, halo, halo).contiguous(),
                                                 one.narrow(mu, extent, halo).contiguous())
                one.narrow(mu, 0, halo).copy_(below)
                one.narrow(mu, halo + extent, halo).copy_(above)


def _sheets(field: Tensor, mu: int, halo: int) -> tuple[Tensor, ...]:
    """A field [Nt,Nx,Ny,Nz,...] across mu, in pieces whose messages take little memory."""
    across = 1 if mu == 0 else 0
    layer = field.nbytes // (field.shape[mu] * field.shape[across]) * halo
    return field.split(max(1, MESSAGE // layer), across)
