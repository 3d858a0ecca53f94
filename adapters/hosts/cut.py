"""The ranks of a host that share a lattice, as ours do: each computes with its own sites.

    with sharing(cut, kernel, communicator):
        ...  # fields are of this rank's sites, with copies of those around; sums run over all ranks

A host says where each of its ranks lies, and ours are numbered by that: no order is assumed.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from l2hmc_bridge.bundle import architecture
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.devices import kind_of
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Extents, Part
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.ranks import mpi
from l2hmc_bridge.ranks.grid import Grid, require_fit
from l2hmc_bridge.ranks.reach import CPU, halo, needs_even, require_parts
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.steps import require_one_program
from l2hmc_bridge.ranks.transport import Distributed, Transport
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.sampling.draws import Draws
from l2hmc_bridge.sampling.host_action import Hosted
from l2hmc_bridge.sampling.markov import Proposes
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.numbered import numbered


class HostStep:
    """A step that a host computes with fields of its own: it looks at no copies of ours."""

    def __str__(self) -> str:
        """What it does, the same on every rank."""
        return type(self).__name__


@dataclass(frozen=True)
class Cut:
    """What one rank of a host says of its lattice, everything along (t, x, y, z).

    name: of the field, for messages; number: the host's own of this rank, or of its place; device:
    where its field is.
    """

    name: str
    lattice: Extents
    ranks: Extents
    coordinates: Extents
    extents: Extents
    number: int
    device: torch.device = CPU

    @property
    def alone(self) -> bool:
        """Whether one rank has all of it."""
        return self.extents == self.lattice

    @property
    def origin(self) -> Extents:
        """The first site of this rank."""
        t, x, y, z = (n * at for n, at in zip(self.extents, self.coordinates, strict=True))
        return t, x, y, z

    def held(self) -> Part | None:
        """The part of this lattice that is shared now, if any; LayoutError if it is another's."""
        part = parts.shared(self.lattice)
        if part is not None and (part.origin, part.extents) != (self.origin, self.extents):
            raise LayoutError(f"{self.name}: expected the sites {_sites(part.origin, part.extents)}"
                              f" of this rank, found {_sites(self.origin, self.extents)}")
        return part


@contextmanager
def sharing(cut: Cut, kernel: Proposes, communicator: Any = None) -> Iterator[None]:
    """Hold the part of this rank for the length of a with block; all ranks enter it alike.

    communicator: of mpi4py, with all ranks of the host, or a `Transport`; MPI.COMM_WORLD by
    default. Raises, on every rank, LayoutError for a layout that is not one lattice cut into equal
    parts, ConfigError for kernels or parts that do not fit each other, StreamError for ranks that
    run different programs or kernels, BridgeError without mpi4py.
    """
    if cut.alone:
        with parts.holding(parts.whole(cut.lattice)):
            yield
        return
    transport = (communicator if isinstance(communicator, Distributed | mpi.Mpi)
                 else mpi.over(communicator))
    with parts.holding(share_of(cut, kernel, transport).part):
        yield


def share_of(cut: Cut, kernel: Proposes, transport: Transport) -> Share:
    """How these ranks share the lattice, numbered as our grids are. Raises as `sharing`."""
    cuts = transport.of_all(cut)
    grid = grid_of(cuts)
    world = World(transport)
    require_one_program(world)
    served: Any = kernel.kernel if isinstance(kernel, Hosted) else kernel
    world.agreed("ranks: GPU", kind_of(cut.device))
    depth = world.each(lambda: _depth(served, cut.device))
    world.agreed("kernel", _described(kernel))
    require_fit(grid, cut.lattice, depth, needs_even(served))
    order = sorted(range(len(cuts)), key=lambda rank: grid.rank(cuts[rank].coordinates))
    return Share(World(transport.in_order(order)), grid, cut.lattice, depth)


def grid_of(cuts: Sequence[Cut]) -> Grid:
    """The process grid that all ranks speak of. Raises LayoutError where they contradict it."""
    first = cuts[0]
    grid = Grid(first.ranks)
    if grid.size != len(cuts):
        raise LayoutError(f"{first.name}: expected {grid.size} ranks, as its grid "
                          f"{_xyzt(first.ranks)} has, found {len(cuts)} in the communicator (hand "
                          "over that of the host)")
    for rank, one in enumerate(cuts):
        if (one.lattice, one.ranks) != (first.lattice, first.ranks):
            raise LayoutError(f"{one.name}: expected the lattice {_xyzt(first.lattice)} on ranks "
                              f"{_xyzt(first.ranks)} as on rank 0, found {_xyzt(one.lattice)} on "
                              f"{_xyzt(one.ranks)} on rank {rank}")
        whole = tuple(n * count for n, count in zip(one.extents, one.ranks, strict=True))
        if whole != one.lattice:
            raise LayoutError(f"{one.name}: expected equal parts of the lattice "
                              f"{_xyzt(one.lattice)} on ranks {_xyzt(one.ranks)}, found "
                              f"{_xyzt(one.extents)} on rank {rank}")
        if not all(0 <= at < n for at, n in zip(one.coordinates, one.ranks, strict=True)):
            raise LayoutError(f"{one.name}: expected a place on the grid {_xyzt(one.ranks)}, found "
                              f"{_xyzt(one.coordinates)} for rank {rank}")
        if one.number != in_host_order(one.coordinates, one.ranks):
            raise LayoutError(f"{one.name}: expected ranks in the order of the host's grid, x "
                              f"slowest, t fastest, found number {one.number} at "
                              f"{_xyzt(one.coordinates)} of {_xyzt(one.ranks)}")
    places = [one.coordinates for one in cuts]
    for rank, place in enumerate(places):
        if place in places[:rank]:
            raise LayoutError(f"{first.name}: expected a place on the grid for every rank, found "
                              f"{_xyzt(place)} for ranks {places.index(place)} and {rank}")
    return grid


def in_host_order(coordinates: Extents, ranks: Extents) -> int:
    """The number of a place as Grid and QUDA count: along x, y, z, t, the last one fastest."""
    (t, x, y, z), (nt, _, ny, nz) = coordinates, ranks
    return ((x * ny + y) * nz + z) * nt + t


def along_txyz(xyzt: Sequence[int]) -> Extents:
    """Four numbers along x, y, z, t in our order."""
    x, y, z, t = map(int, xyzt)
    return t, x, y, z


def draws_from(draw: Callable[[], int]) -> Draws:
    """The numbered draws of one trajectory, under a seed that rank 0 of the host's ranks drew.

    Every rank draws, so that its generator goes on; what it drew is not used.
    """
    seed, part = draw(), parts.current()
    return numbered(seed if part is None else part.network.made(lambda: seed), [0])


def require_rank_alone(name: str) -> None:
    """Raise LayoutError if a generator of torch's is to draw for several ranks."""
    part = parts.current()
    if part is not None and part.cut:
        raise LayoutError(f"{name}: expected the host's random numbers on several ranks, found a "
                          "torch.Generator, whose numbers depend on how the lattice is cut")


def _depth(kernel: Any, device: torch.device) -> int:
    """Sites beside a part that a kernel needs: one, for copies at all, around a host's own step."""
    if isinstance(kernel, Nested) and isinstance(kernel.inner, HostStep):
        require_parts(kernel)
        return 1
    return halo(kernel, device)


def _described(kernel: Proposes) -> str:
    """What must be the same on every rank."""
    if isinstance(kernel, Hosted):
        return f"{type(kernel.action).__name__} decides over {_described(kernel.kernel)}"
    if isinstance(kernel, Nested):
        levels = [(level.name, [term.name for term in level.terms], level.plan, level.repeats)
                  for level in kernel.levels]
        return f"nested x {kernel.scale!r} {levels} around {_described(kernel.inner)}"
    if isinstance(kernel, HostStep):
        return str(kernel)
    if not isinstance(kernel, L2HMC):
        return repr(kernel)
    described = architecture.describe(kernel), kernel.action, kernel.scale
    sha = hashlib.sha256(repr(described).encode())
    for name, values in sorted(architecture.tensors(kernel).items()):
        sha.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return f"l2hmc {sha.hexdigest()}"


def _xyzt(txyz: Extents) -> str:
    t, x, y, z = txyz
    return f"{x},{y},{z},{t}"


def _sites(origin: Extents, extents: Extents) -> str:
    return f"{_xyzt(extents)} from {_xyzt(origin)}"
