"""Sums over the sites of fields with their numbers apart: float64 [Nb, ...], the same in every run.

Of a part of a lattice, a whole one included, they are exact and over all its processes: the kernels
count (`fields/sums.py`) the terms of own sites. Nothing waits for the GPU but exact sums.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu.launch import launch_observable
from l2hmc_bridge.fields import sums
from l2hmc_bridge.fields.part import NOWHERE, Part

HALVES = 12  # of clovers: two of each plane
# Registers of a thread that measures: what a compiler without bounds takes varies, unasked.
MOST = {torch.float64: 168, torch.float32: 96}


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


def plaquettes(links: Tensor, where: Where) -> Tensor:
    """sum_x Re tr P of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    return _summed("plaquette_kernel", links, where, 1, 6)


def rectangles(links: Tensor, where: Where) -> Tensor:
    """sum_x Re tr of the twelve rectangles of two steps and one, [Nb]."""
    return _summed("rectangle_kernel", links, where, 2, 1)[:, 0]


def kinetic(momenta: Tensor, where: Where) -> Tensor:
    """K = -tr P^2, summed over links, [Nb]."""
    return _summed("kinetic_kernel", momenta, where, 0, 1, num_warps=4)[:, 0]


def action(links: Tensor, where: Where, beta: float, c1: float) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    total = (1 - 8 * c1) * plaquettes(links, where).sum(1)
    if c1 != 0:
        total = total + c1 * rectangles(links, where)
    return -beta / 3 * total


def clover(links: Tensor, where: Where, traceless: bool) -> tuple[Tensor, Tensor]:
    """(site averages of Re tr P / 3 of the six planes, [Nb,6]; energies per site and Q, [Nb,3])."""
    found = _summed("measure_kernel", links, where, 1, 9, None, HALVES,
                    int(traceless), 0.0, maxnreg=MOST[links.dtype])
    energies, charge = found[:, 6:8] / (16.0 * where.volume), found[:, 8:] / (64 * math.pi**2)
    return found[:, :6] / (3 * where.volume), torch.cat([energies, charge], 1)


def density(links: Tensor, where: Where, weight: float, traceless: bool) -> Tensor:
    """weight q(x) from the clover, of all sites of this process, [Nb,Nt,Nx,Ny,Nz]."""
    found = torch.empty(len(links), *where.extents, dtype=links.dtype, device=links.device)
    launch_observable("measure_kernel", links, links, None, found, HALVES, int(traceless),
                      weight / (64 * math.pi**2), *where.extents, *NOWHERE, EXACT=False,
                      num_warps=1, maxnreg=MOST[links.dtype])
    return found


def _summed(kernel: str, field: Tensor, where: Where, reach: int, rows: int, *arguments: object,
            **options: int) -> Tensor:
    """What a kernel leaves of each block, summed, [Nb, rows]; it looks so far from a site."""
    part, blocks = where.part, field.shape[2]
    exact: tuple[int, ...] = () if part is None else (3,)
    out = torch.empty(len(field), rows, *exact, blocks, device=field.device,
                      dtype=torch.float64 if part is None else torch.int64)
    if part is not None:
        part.require(reach)
    launch_observable(kernel, field, field, out, *arguments, *where.extents,
                      *(NOWHERE if part is None else part.halo), EXACT=part is not None,
                      **{"num_warps": 1, **options})
    if part is None:
        return out.sum(-1)
    counts = sums.joined(out.flatten(0, 1).movedim(1, 2)).view(len(field), rows, 3)
    return sums.totalled(part.network, counts.cpu(), field)
