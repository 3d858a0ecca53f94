"""What is measured on links to verify a file: plaquette, link trace, distance from SU(3)."""

from typing import NamedTuple

import torch
from torch import Tensor


class Measured(NamedTuple):
    """Plaquettes and trace are 1 on the unit field; the defects are maxima over links.

    plaquette = (1/18 V) sum_{x, mu<nu} Re tr P, spatial and temporal over three planes each.
    unitarity = max |U U^dagger - 1|, determinant = max |det U - 1|; NaN where a link has one.
    """

    plaquette: float
    plaquette_spatial: float
    plaquette_temporal: float
    link_trace: float
    unitarity: float
    determinant: float


def measure(links: Tensor) -> Measured:
    """All of `Measured` for links [1,4,Nt,Nx,Ny,Nz,3,3]."""
    planes = _plaquettes(links[0])
    temporal, spatial = sum(planes[:3]) / 3, sum(planes[3:]) / 3
    unit = torch.eye(3, dtype=links.dtype, device=links.device)
    trace = float(torch.einsum("...ii->...", links).real.mean()) / 3
    unitarity = float((links @ links.mH - unit).abs().max())
    determinant = float((torch.linalg.det(links) - 1).abs().max())
    return Measured(
        (temporal + spatial) / 2, spatial, temporal, trace, unitarity, determinant
    )


def _plaquettes(links: Tensor) -> list[float]:
    """(t,x), (t,y), (t,z), (x,y), (x,z), (y,z): mean over sites of Re tr P / 3."""
    planes = []
    for mu in range(4):
        for nu in range(mu + 1, 4):
            one = links[mu] @ links[nu].roll(-1, mu)
            other = links[nu] @ links[mu].roll(-1, nu)
            planes.append(float((one * other.conj()).sum((-2, -1)).real.mean()) / 3)
    return planes
