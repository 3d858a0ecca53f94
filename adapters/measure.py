"""What is measured on links to verify a file: plaquette, link trace, distance from SU(3)."""

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np
from torch import Tensor

from l2hmc_bridge import loops, su3

from . import dispatch
from .blocks import in_threads


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
    kernels = dispatch.measure_kernels(links.numel() * 16)
    if kernels is not None:
        planes, trace, unitarity, determinant = _compiled(links, kernels)
    else:
        planes = loops.plaquettes(links)[0].tolist()
        trace = float(loops.link_trace(links)[0])
        unitarity = float(su3.unitarity_defect(links)[0])
        determinant = float(su3.determinant_defect(links)[0])
    temporal, spatial = sum(planes[:3]) / 3, sum(planes[3:]) / 3
    return Measured((temporal + spatial) / 2, spatial, temporal, trace, unitarity, determinant)


def _compiled(
    links: Tensor, kernels: ModuleType
) -> tuple[list[float], float, float, float]:
    """(six planes, trace, unitarity, determinant); the sums do not depend on the threads."""
    array = np.ascontiguousarray(links.detach().cpu().numpy()[0])
    shape, flat = array.shape[1:5], array.reshape(-1).view(np.float64)
    sums = np.empty((shape[0], shape[1], 6))
    slices = 4 * shape[0]
    found = np.empty((slices, 4))
    per_slice = array.size // 9 // slices

    def one(t: int, _buffer: np.ndarray) -> None:
        kernels.plaquettes(flat, shape, t, sums)
        for part in range(t, slices, shape[0]):  # the four directions of this slice
            kernels.group(flat, part * per_slice, (part + 1) * per_slice, found[part])

    in_threads(one, list(range(shape[0])))
    volume = math.prod(shape)
    with np.errstate(all="ignore"):  # a damaged file may hold any numbers
        planes = (sums.sum((0, 1)) / (3 * volume)).tolist()
        trace = float(found[:, 0].sum() / (12 * volume))
        spoiled = float(0 * found[:, 3].sum())  # NaN where any link holds one
    unitarity, determinant = (math.sqrt(found[:, at].max()) + spoiled for at in (1, 2))
    return planes, trace, unitarity, determinant
