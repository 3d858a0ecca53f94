"""Sums over the sites of fields on a GPU: float64, the same in every run.

Of a part of a lattice, a whole one included, they are exact: kernels then leave the terms of each
site, which are counted (`fields/sums.py`).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu import paths
from l2hmc_bridge.fast.gpu.launch import blocks, launch, over_sites
from l2hmc_bridge.fields import part as parts, sums
from l2hmc_bridge.fields.part import Part

NUMBERS_PER_BLOCK = 1024  # of a sum


def of_loops(links: Tensor, which: Callable[[], paths.Paths], reach: int) -> Tensor:
    """Re tr of each of these loops, which look so far, summed over sites, float64 [Nb, loops]."""
    steps = paths.loops(which, links.device)
    return _summed("loop_kernel", links, (len(steps),), reach, steps, steps.shape[1],
                   rows=len(steps))


def of_clovers(links: Tensor, traceless: bool) -> Tensor:
    """tr C C, tr C' C', tr C C' of each pair of planes, summed over sites, float64 [Nb, 3, 3]."""
    return _summed("clover_kernel", links, (3, 3), 1,
                   *paths.clovers(((1, 1, 1.0),), links.device, links.dtype), int(traceless),
                   rows=3, DENSITY=False)


def of_squares(momenta: Tensor) -> Tensor:
    """sum |P_ij|^2 over everything but the batch, float64 [Nb]."""
    held = parts.of(momenta)
    if held is not None:
        norms = torch.empty(momenta.shape[:6], dtype=torch.float64, device=momenta.device)
        over_sites("norm_kernel", momenta, norms)
        return of_links(held, norms)
    count = 2 * math.prod(momenta.shape[1:])
    programs = math.ceil(count / NUMBERS_PER_BLOCK)
    found = torch.empty(len(momenta), programs, dtype=torch.float64, device=momenta.device)
    launch("square_kernel", (programs, len(momenta)), momenta, found, count, ROWS=1,
           BLOCK=NUMBERS_PER_BLOCK)
    return found.sum(1)


def of_links(held: Part | None, terms: Tensor) -> Tensor:
    """Numbers of each link, float64 [Nb,4,Nt,Nx,Ny,Nz], summed, [Nb]; of a part over all processes.
    """
    if held is None:
        return terms.flatten(1).sum(1)
    return sums.totalled(held.network, sums.joined(_counted(held, terms)), terms)


def of_sites(links: Tensor, density: Tensor, reach: int) -> Tensor:
    """A number of each site [Nb,Nt,Nx,Ny,Nz], made of links so far from it, summed, [Nb]."""
    held = parts.of(links)
    if held is None:
        return density.double().flatten(1).sum(1)
    held.require(reach)
    return _exact(held, density[:, None].double())[:, 0]


def _summed(kernel: str, links: Tensor, shape: Sequence[int], reach: int, *arguments: object,
            **constants: int) -> Tensor:
    """What a kernel leaves [Nb, *shape] of each block of sites, or each site of a part, summed."""
    held = parts.of(links)
    where = (blocks(links),) if held is None else links.shape[2:6]
    terms = torch.empty(len(links), *shape, *where, dtype=torch.float64, device=links.device)
    over_sites(kernel, links, terms, *arguments, SITES=held is not None, **constants)
    if held is None:
        return terms.sum(-1)
    held.require(reach)
    return _exact(held, terms.flatten(1, -5)).view(len(links), *shape)


def _exact(held: Part, terms: Tensor) -> Tensor:
    """The sums over own sites of all processes of terms [Nb,n,Nt,Nx,Ny,Nz], [Nb,n]."""
    return sums.totalled(held.network, _counted(held, terms), terms)


def _counted(held: Part, terms: Tensor) -> Tensor:
    """`sums.counted` of the terms of own sites, int64 [Nb,n,3] in main memory."""
    own = held.kept(terms).flatten(2).contiguous()
    rows, count = len(own) * own.shape[1], own.shape[2]
    programs = math.ceil(count / NUMBERS_PER_BLOCK)
    found = torch.empty(rows, 3, programs, dtype=torch.int64, device=own.device)
    launch("count_kernel", (programs, rows), own, found, count, BLOCK=NUMBERS_PER_BLOCK)
    return sums.joined(found.movedim(1, 2)).view(*own.shape[:2], 3).cpu()
