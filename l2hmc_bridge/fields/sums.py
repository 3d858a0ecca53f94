"""Sums over a lattice whose bits depend neither on its cut nor on the order of the sites."""

import torch
from torch import Tensor

from l2hmc_bridge.fields.part import COARSE, FINE, Network, Part, exact

LARGEST = 2.0**16  # of a term


def exact_sum(part: Part, field: Tensor) -> Tensor:
    """sum over sites and all that follows of a real field [Nb,n,Nt,Nx,Ny,Nz,...], [Nb].

    Of the sites of all processes. NaN if a term is no number or not below 2^16.
    """
    return exact_total(part.network, part.kept(field))


def exact_total(network: Network, terms: Tensor) -> Tensor:
    """The sum of real terms [Nb,n,m,...] of each chain over all processes, [Nb]; NaN as above."""
    counts = torch.zeros(len(terms), 3, dtype=torch.int64)
    for chain, one in enumerate(terms):
        for component in one:
            for piece in component:  # a copy of all would take memory
                counts[chain] += _counted(piece.double())
    return exact(network.total(counts))


def _counted(terms: Tensor) -> Tensor:
    """How many multiples of 2^-30, of 2^-62, and terms that are none, int64 [3]."""
    good = terms.abs() < LARGEST
    terms = torch.where(good, terms, 0.0)
    coarse = torch.round(terms * 2.0**COARSE)
    fine = torch.round((terms - coarse * 2.0**-COARSE) * 2.0**FINE)
    return torch.stack((coarse.long().sum(), fine.long().sum(), (~good).sum()))
