"""Sums over a lattice whose bits depend neither on its cut nor on the order of the sites."""

import torch
from torch import Tensor

from l2hmc_bridge.fields.part import COARSE, FINE, Part, exact

LARGEST = 2.0**16  # of a term


def exact_sum(part: Part, field: Tensor) -> Tensor:
    """sum over sites and all that follows of a real field [Nb,n,Nt,Nx,Ny,Nz,...], [Nb].

    Of the sites of all processes. NaN if a term is no number or not below 2^16.
    """
    counts = torch.zeros(len(field), 3, dtype=torch.int64)
    for chain, one in enumerate(part.kept(field)):
        for component in one:
            for time_slice in component:
                counts[chain] += _counted(time_slice.double())
    return exact(part.network.total(counts))


def _counted(terms: Tensor) -> Tensor:
    """How many multiples of 2^-30, of 2^-62, and terms that are none, int64 [3]."""
    good = terms.abs() < LARGEST
    terms = torch.where(good, terms, 0.0)
    coarse = torch.round(terms * 2.0**COARSE)
    fine = torch.round((terms - coarse * 2.0**-COARSE) * 2.0**FINE)
    return torch.stack((coarse.long().sum(), fine.long().sum(), (~good).sum()))
