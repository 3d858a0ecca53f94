"""Sums over a lattice whose bits depend neither on its cut nor on the order of the sites.

Terms are counted where the field is, in main memory or on a GPU; the few numbers that come of it
are summed over processes and rounded in main memory.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from l2hmc_bridge.fields.part import COARSE, FINE, Network, Part, exact

LARGEST = 2.0**16  # of a term
PIECE, PIECE_ON_GPU = 1 << 18, 1 << 23  # numbers that are counted at once: copies take memory


def exact_sum(part: Part, field: Tensor) -> Tensor:
    """sum over sites and all that follows of a real field [Nb,n,Nt,Nx,Ny,Nz,...], [Nb].

    Of the sites of all processes. NaN if a term is no number or not below 2^16.
    """
    return exact_total(part.network, part.kept(field))


def exact_total(network: Network, terms: Tensor) -> Tensor:
    """The sum of real terms [Nb,n,m,...] of each chain over all processes, [Nb]; NaN as above."""
    return totalled(network, counted(terms).sum(1), terms)


def counted(terms: Tensor) -> Tensor:
    """How many multiples of 2^-30, of 2^-62, and terms that are none, int64 [Nb,n,3].

    In main memory, of real terms [Nb,n,m,...].
    """
    most = PIECE if terms.device.type == "cpu" else PIECE_ON_GPU
    counts = torch.zeros(*terms.shape[:2], 3, dtype=torch.int64, device=terms.device)
    for piece in _pieces(terms, most):
        counts += _counted(piece.double().flatten(2))
    return counts.cpu()


def totalled(network: Network, counts: Tensor, like: Tensor) -> Tensor:
    """What counts [..., 3] of all processes come to, rounded once, where `like` is."""
    return exact(network.total(counts)).to(like.device)


def _pieces(terms: Tensor, most: int) -> Iterator[Tensor]:
    """Halves of halves along m and what follows, of at most so many numbers if that can be."""
    longest = max(range(2, terms.ndim), key=lambda axis: terms.shape[axis])
    if terms.numel() <= most or terms.shape[longest] == 1:
        yield terms
        return
    for half in terms.tensor_split(2, longest):
        yield from _pieces(half, most)


def _counted(terms: Tensor) -> Tensor:
    good = terms.abs() < LARGEST
    terms = torch.where(good, terms, 0.0)
    coarse = torch.round(terms * 2.0**COARSE)
    fine = torch.round((terms - coarse * 2.0**-COARSE) * 2.0**FINE)
    return torch.stack((coarse.long().sum(2), fine.long().sum(2), (~good).sum(2)), -1)
