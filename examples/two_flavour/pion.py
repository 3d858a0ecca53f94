"""The charged pion's correlator from one noisy source on a time slice t0.

    C(t) = (1/V_3) sum |M^-1 xi|^2 over the slice t0 + t,   <xi xi^+> = 1 on slice t0, 0 elsewhere,

which is sum_x tr S(x, t; 0) S(x, t; 0)^+ on average: with a twisted mass the other flavour's
propagator is gamma_5 S^+ gamma_5. C(t) and C(T - t) are averaged.
"""

import torch
from torch import Tensor

from .dirac import EVEN, ODD, Dirac, Links, Quark
from .quarks import gaussian
from .solver import solve


def propagate(dirac: Dirac, source: dict[int, Tensor], tolerance: float,
              limit: int) -> dict[int, Tensor]:
    """M^-1 source on both parities; NaN if the solver gives up."""
    links, kappa = dirac.links, dirac.quark.kappa
    odd = source[ODD] + kappa * links.hop(source[EVEN] / dirac.diagonal, ODD)
    found = solve(dirac.normal, odd, tolerance, limit)
    field = torch.where(found.converged, dirac.adjoint(found.field), torch.nan)
    return {ODD: field, EVEN: (source[EVEN] + kappa * links.hop(field, EVEN)) / dirac.diagonal}


def correlator(links: Tensor, quark: Quark, generator: torch.Generator, tolerance: float = 1e-9,
               limit: int = 10000) -> Tensor:
    """C(t) for t = 0 to T/2 of each configuration, [Nb, T/2 + 1]; t0 is drawn, too."""
    dirac, extent = Dirac(Links(links), quark), links.shape[2]
    start = int(torch.randint(extent, (1,), generator=generator))
    source, times = {}, {}
    for parity, where in enumerate(dirac.links.sites):
        times[parity] = where.own // (links.shape[3:6].numel())
        xi = gaussian((4, 3, len(where.own)), len(links), generator)
        source[parity] = torch.where((times[parity] == start)[:, None], xi, 0)
    found = propagate(dirac, source, tolerance, limit)
    slices = torch.zeros(extent, len(links), dtype=torch.float64)
    for parity, field in found.items():
        weight = torch.view_as_real(field).square().sum((0, 1, 4))
        slices.index_add_(0, (times[parity] - start) % extent, weight)
    slices /= links.shape[3:6].numel()
    folded = 0.5 * (slices + slices[torch.arange(0, -extent, -1) % extent])
    return folded[:extent // 2 + 1].T
