"""Sums over the sites of fields on a GPU: float64, the same in every run.

Of a part of a lattice, a whole one included, they are exact: kernels then leave the terms of each
site, which are counted (`fields/sums.py`).
"""

import math

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu.launch import launch, over_sites
from l2hmc_bridge.fields import part as parts, sums
from l2hmc_bridge.fields.part import Part

NUMBERS_PER_BLOCK = 1024  # of a sum


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


def _counted(held: Part, terms: Tensor) -> Tensor:
    """`sums.counted` of the terms of own sites, int64 [Nb,n,3] in main memory."""
    own = held.kept(terms).flatten(2).contiguous()
    rows, count = len(own) * own.shape[1], own.shape[2]
    programs = math.ceil(count / NUMBERS_PER_BLOCK)
    found = torch.empty(rows, 3, programs, dtype=torch.int64, device=own.device)
    launch("count_kernel", (programs, rows), own, found, count, BLOCK=NUMBERS_PER_BLOCK)
    return sums.joined(found.movedim(1, 2)).view(*own.shape[:2], 3).cpu()
