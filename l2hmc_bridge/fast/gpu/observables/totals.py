"""Sums over the sites of fields with their numbers apart: float64 [Nb, ...], the same in every run.

Of a part of a lattice, a whole one included, they are exact and over all its processes: the kernels
count (`fields/sums.py`) the terms of own sites. Nothing waits for the GPU but exact sums, and those
in `totalled` alone: what is `..._left` stays on the GPU.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu.launch import launch_planar
from l2hmc_bridge.fields import sums
from l2hmc_bridge.fields.part import NOWHERE, Extents, Part

HALVES, PAIRS = 12, 3  # of clovers, two of each plane; of dual planes
# Registers of a thread that measures: what a compiler without bounds takes varies, unasked.
MOST = {torch.float64: 168, torch.float32: 96}
Shapes = Sequence[tuple[int, int, float]]  # loops: m, n, weight


class Where(NamedTuple):
    """Extents of a field, and the part of a lattice that it is of, if any."""

    extents: tuple[int, ...]
    part: Part | None

    @property
    def sites(self) -> int:
        """Of this process, copies of others' included."""
        return math.prod(self.extents)

    @property
    def volume(self) -> int:
        """Sites of the whole lattice."""
        return self.sites if self.part is None else self.part.volume

    @property
    def halo(self) -> Extents:
        """How deep the copies of others' sites are."""
        return NOWHERE if self.part is None else self.part.halo


def plaquettes(links: Tensor, where: Where) -> Tensor:
    """sum_x Re tr P of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    return _summed("plaquette_kernel", links, where, 1, 6)


def rectangles(links: Tensor, where: Where) -> Tensor:
    """sum_x Re tr of the twelve rectangles of two steps and one, [Nb]."""
    return _summed("rectangle_kernel", links, where, 2, 1)[:, 0]


def kinetic(momenta: Tensor, where: Where) -> Tensor:
    """K = -tr P^2, summed over links, [Nb]."""
    return totalled(kinetic_left(momenta, where), where)[:, 0]


def kinetic_left(momenta: Tensor, where: Where) -> Tensor:
    """What K comes of."""
    return _left("kinetic_kernel", momenta, where, 0, 1, num_warps=4)


def action(links: Tensor, where: Where, beta: float, c1: float) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    return action_of([totalled(one, where) for one in action_left(links, where, c1)], beta, c1)


def action_left(links: Tensor, where: Where, c1: float) -> tuple[Tensor, ...]:
    """What S comes of: plaquettes, and rectangles if they count."""
    planes = _left("plaquette_kernel", links, where, 1, 6)
    return (planes,) if c1 == 0 else (planes, _left("rectangle_kernel", links, where, 2, 1))


def action_of(sums: Sequence[Tensor], beta: float, c1: float) -> Tensor:
    """S of the sums that `action_left` comes to, [Nb]."""
    total = (1 - 8 * c1) * sums[0].sum(1)
    if c1 != 0:
        total = total + c1 * sums[1][:, 0]
    return -beta / 3 * total


def clover(links: Tensor, where: Where, traceless: bool) -> tuple[Tensor, Tensor]:
    """(site averages of Re tr P / 3 of the six planes, [Nb,6]; energies per site and Q, [Nb,3])."""
    return clover_of(totalled(clover_left(links, where, traceless), where), where)


def clover_left(links: Tensor, where: Where, traceless: bool) -> Tensor:
    """What `clover` comes of."""
    return _left("measure_kernel", links, where, 1, 9, HALVES, int(traceless),
                 maxnreg=MOST[links.dtype])


def clover_of(found: Tensor, where: Where) -> tuple[Tensor, Tensor]:
    """`clover` of the sums that `clover_left` comes to."""
    energies, charge = found[:, 6:8] / (16.0 * where.volume), found[:, 8:] / (64 * math.pi**2)
    return found[:, :6] / (3 * where.volume), torch.cat([energies, charge], 1)


def lines(links: Tensor, where: Where, longest: int) -> Tensor:
    """Products of 1 ... `longest` links along each direction, [Nb,4 longest,blocks,12,32]."""
    if longest == 1:
        return links
    made = links.new_empty(len(links), 4 * longest, *links.shape[2:])
    made[:, :4] = links
    for length in range(1, longest):
        launch_planar("observables.loops.line_kernel", made, made, length, longest, *where.extents)
    return made


def charge(links: Tensor, where: Where, shapes: Shapes, traceless: bool) -> Tensor:
    """Q = sum over (m, n, weight) of weight Q from clovers of m x n loops, [Nb]."""
    longest = _longest(shapes)
    out = _room(links, where, longest, len(shapes), PAIRS)
    made = lines(links, where, longest)
    for row, shape in enumerate(shapes):
        _charge(made, where, longest, shape, traceless, row, len(shapes), out=out)
    return totalled(_added(out, where), where).sum(1)


def density(links: Tensor, where: Where, shapes: Shapes, traceless: bool) -> Tensor:
    """q(x) of the same, of all sites of this process, [Nb,Nt,Nx,Ny,Nz]."""
    longest = _longest(shapes)
    found = links.new_zeros(len(links), PAIRS, *where.extents)
    made = lines(links, where, longest)
    for shape in shapes:
        _charge(made, where, longest, shape, traceless, density=found)
    return found.sum(1)


def _longest(shapes: Shapes) -> int:
    return max(max(m, n) for m, n, _ in shapes)


def _charge(made: Tensor, where: Where, longest: int, shape: tuple[int, int, float],
            traceless: bool, row: int = 0, rows: int = 1, out: Tensor | None = None,
            density: Tensor | None = None) -> None:
    """What one shape adds to `density`, and its sums in a row of `out`."""
    m, n, weight = shape
    turns = 1 if m == n else 2  # of which the mean is taken
    launch_planar("observables.loops.charge_kernel", made, made, out, density, m, n, longest, turns,
                  int(traceless), weight / (64 * math.pi**2 * turns**2), row, rows, *where.extents,
                  *where.halo, programs=PAIRS * made.shape[2],
                  EXACT=out is not None and where.part is not None, num_warps=1,
                  maxnreg=MOST[made.dtype])


def _summed(kernel: str, field: Tensor, where: Where, reach: int, rows: int) -> Tensor:
    """What a kernel leaves of each block, summed, [Nb, rows]; it looks so far from a site."""
    return totalled(_left(kernel, field, where, reach, rows), where)


def _left(kernel: str, field: Tensor, where: Where, reach: int, rows: int, *arguments: object,
          **options: int) -> Tensor:
    """What a kernel leaves of each block, summed, as `_added`; it looks so far from a site."""
    out = _room(field, where, reach, rows)
    launch_planar(f"observables.kernels.{kernel}", field, field, out, *arguments, *where.extents,
                  *where.halo, EXACT=where.part is not None, **{"num_warps": 1, **options})
    return _added(out, where)


def _room(field: Tensor, where: Where, reach: int, rows: int, each: int = 1) -> Tensor:
    """For what kernels that look so far from a site leave, `each` programs of a block:
    [Nb, rows, ..., programs].
    """
    chains, programs = len(field), each * field.shape[2]
    if where.part is None:
        return torch.empty(chains, rows, programs, device=field.device, dtype=torch.float64)
    where.part.require(reach)
    return torch.empty(chains, rows, 3, programs, device=field.device, dtype=torch.int64)


def _added(out: Tensor, where: Where) -> Tensor:
    """What was left there, summed, [Nb, rows]; of a part counts, [Nb, rows, 3]."""
    if where.part is None:
        return out.sum(-1)
    return sums.joined(out.flatten(0, 1).movedim(1, 2)).view(*out.shape[:2], 3)


def totalled(left: Tensor, where: Where) -> Tensor:
    """The sums that were left, [Nb, rows], over all processes."""
    if where.part is None:
        return left
    return sums.totalled(where.part.network, left.cpu(), left)
