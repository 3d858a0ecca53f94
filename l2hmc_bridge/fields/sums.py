"""Sums over a lattice whose bits depend neither on its cut nor on the order of the sites.

Terms are counted where the field is, in main memory or on a GPU; the few numbers that come of it
are summed over processes and rounded in main memory.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from l2hmc_bridge.fields.part import Network, Part

COARSE, FINE = 30, 62  # binary digits after the point in which exact sums are counted
WORD = 32  # binary digits of a count that processes add up apart from those above them
LARGEST = 2.0**16  # of a term
MOST = 2.0**32  # of the sizes of a process's terms: an int64 counts twice as much
PIECE, PIECE_ON_GPU = 1 << 15, 1 << 23  # numbers that are counted at once: copies take memory


def exact_sum(part: Part, field: Tensor) -> Tensor:
    """sum over sites and all that follows of a real field [Nb,n,Nt,Nx,Ny,Nz,...], [Nb].

    Of the sites of all processes. NaN if a term is no number or not below 2^16,
    or if those of one process come to 2^32.
    """
    return exact_total(part.network, part.kept(field))


def exact_total(network: Network, terms: Tensor) -> Tensor:
    """The sum of real terms [Nb,n,m,...] of each chain over all processes, [Nb]; NaN as above."""
    return totalled(network, joined(counted(terms)), terms)


def counted(terms: Tensor) -> Tensor:
    """How many multiples of 2^-30, of 2^-62, and terms or sums that are none, int64 [Nb,n,3].

    In main memory, of real terms [Nb,n,m,...].
    """
    most = PIECE if terms.device.type == "cpu" else PIECE_ON_GPU
    counts = torch.zeros(*terms.shape[:2], 3, dtype=torch.int64, device=terms.device)
    sizes = counts.new_zeros(terms.shape[:2], dtype=torch.float64)
    for piece in _pieces(terms, most):
        numbers = piece.double().flatten(2)
        counts += _counted(numbers)
        sizes += numbers.abs().sum(2)
    counts[..., 2] += sizes >= MOST
    return counts.cpu()


def joined(counts: Tensor) -> Tensor:
    """Counts [Nb,n,3] added up over n; what comes to 2^32 is none."""
    found = counts.sum(1)
    found[:, 2] += counts[..., 0].double().abs().sum(1) >= MOST * 2.0**COARSE
    return found


def totalled(network: Network, counts: Tensor, like: Tensor) -> Tensor:
    """What counts [..., 3] of all processes come to, rounded once, where `like` is."""
    return exact(counts, network).to(like.device)


def exact(counts: Tensor, network: Network | None = None) -> Tensor:
    """What whole multiples of all processes come to, int64 [..., 3] -> float64, rounded once.

    counts: of 2^-30, of 2^-62, and of terms that were no number, or sums of one process too large
    for an int64: NaN if there are any. What many processes counted may be larger.
    """
    words = torch.stack((counts >> WORD, counts & ((1 << WORD) - 1)))
    high, low = words if network is None else network.total(words)
    shift = FINE - COARSE
    numbers = []
    for above, below in zip(high.view(-1, 3).tolist(), low.view(-1, 3).tolist(), strict=True):
        coarse, fine, lost = ((one << WORD) + two for one, two in zip(above, below, strict=True))
        numbers.append(float("nan") if lost else ((coarse << shift) + fine) / (1 << FINE))
    return torch.tensor(numbers, dtype=torch.float64).view(counts.shape[:-1])


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
