"""PyQUDA (github.com/CLQCD/PyQUDA): LatticeGauge to and from links, proposals for its HMC loop.

    from l2hmc_bridge.adapters import pyquda as bridge

    propose = bridge.l2hmc_proposal(kernel, hmc.random)
    hmc.samplePhi()                                    # with fermions
    old = hmc.gaugeAction() + hmc.fermionAction()
    moved, correction = propose(gauge)                 # U', dK - log|J|; gauge stays as it is
    hmc.loadGauge(moved)
    new = hmc.gaugeAction() + hmc.fermionAction()
    if hmc.accept(new + correction - old):
        hmc.saveGauge(gauge)
    else:
        hmc.loadGauge(gauge)

LatticeGauge.data is [4, 2, Lt, Lz, Ly, Lx/2, 3, 3] complex128, directions x,y,z,t, in numpy, cupy,
dpnp or torch. Site (x,y,z,t) lies at parity p = (x+y+z+t) mod 2 and h = x//2, so that
x = 2h + (p+y+z+t) mod 2.
Arrays on a GPU are handed over by DLPack and stay there; either way a conversion is one pass over
the field, into the one new array (to links) or into the array that is there (from links).

The anti-periodic sign of fermions is not in LatticeGauge: hmc.loadGauge multiplies it into a copy,
hmc.saveGauge takes it out again. QUDA counts K = -tr P^2 / 2 (MILC's normalisation, where ours is
-tr P^2): one unit of its MD time is sqrt(2) of ours. Read at 0ac50a0 (2026-04-11).
"""

import functools
import itertools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fields.layout import DIRECTIONS, FILE_DIRECTIONS
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.sampling.markov import Proposes

from .refuse import require_periodic_su3

ORDER = [FILE_DIRECTIONS.index(name) for name in DIRECTIONS]  # links[:, mu] is data[ORDER[mu]]


def to_links(gauge: Any) -> Tensor:
    """LatticeGauge -> links [1,4,Nt,Nx,Ny,Nz,3,3] complex128 on the device it is on, bit for bit.

    Raises LayoutError for another group, dimension, precision or array, several ranks or memory
    that is not contiguous; ActionError for anisotropy; VerificationError for links outside SU(3).
    """
    data = _checked(gauge)
    _, _, nt, nz, ny, half = data.shape[:6]
    extents = (nt, 2 * half, ny, nz)
    if data.device.type == "cpu":
        links, defects = fast.fetch_links(_directions(data), _places(extents), extents)
    else:
        links, defects = data.new_empty((1, 4, *extents, 3, 3)), None
        move(links, data, into_links=True)
    require_periodic_su3("PyQUDA gauge", links, defects)
    return links


def from_links(links: Tensor, gauge: Any) -> None:
    """Write links into gauge.data, in place; LayoutError as `to_links`, and where none fit."""
    data = _checked(gauge)
    _, _, nt, nz, ny, half = data.shape[:6]
    expected = (1, 4, nt, 2 * half, ny, nz, 3, 3)
    if tuple(links.shape) != expected or not links.is_complex():
        raise LayoutError(f"PyQUDA gauge: expected complex links {list(expected)}, found "
                          f"{links.dtype} {list(links.shape)}")
    if not links.detach().sum().isfinite():
        raise LayoutError("PyQUDA gauge: expected finite links, found NaN or infinity")
    if data.device.type == "cpu":
        fast.store_links(links, _directions(data), _places(expected[2:6]))
    else:
        move(links.detach(), data, into_links=False)


def host_action(hmc: Any, gauge: Any, beta: float = 0.0) -> HostAction:
    """S of a PyQUDA HMC, gaugeAction() + fermionAction(), as a HostAction without a force.

    Its pseudofermions are drawn once a trajectory by hmc.samplePhi(). QUDA's resident gauge field
    is the last one that S was asked for: hmc.loadGauge(gauge) before going on without us. `gauge`
    only says which lattice; a copy is worked on. beta is what networks take as theirs.
    """
    scratch = gauge.copy()

    def value(links: Tensor) -> float:
        from_links(links, scratch)
        hmc.loadGauge(scratch)
        return hmc.gaugeAction() + hmc.fermionAction()

    def draw(links: Tensor, _generator: Any) -> None:
        from_links(links, scratch)
        hmc.loadGauge(scratch)
        hmc.samplePhi()

    return HostAction(value, None, draw if _has_noise(hmc) else None, beta)


class l2hmc_proposal:
    """A kernel's proposal for hmc.accept(delta), see the module's first lines.

    rng: a torch.Generator, or a random.Random as hmc.random, of which 32 bits seed each trajectory.
    """

    def __init__(self, kernel: Proposes, rng: Any):
        self.kernel, self.rng = kernel, rng

    def __call__(self, gauge: Any) -> tuple[Any, float]:
        """(a new LatticeGauge with U', dK - log|J|); (a copy of U, +inf) where it diverged."""
        generator = self.rng
        if not isinstance(generator, torch.Generator):
            generator = torch.Generator().manual_seed(self.rng.getrandbits(32))
        links, _, info = self.kernel.propose(to_links(gauge), generator)
        correction, moved = float(info.delta_proposal[0]), gauge.copy()
        if not math.isfinite(correction) or not torch.view_as_real(links).isfinite().all():
            return moved, math.inf
        from_links(links, moved)
        return moved, correction


def _has_noise(hmc: Any) -> bool:
    """Whether this HMC or one inside it has pseudofermions."""
    while hmc is not None:
        if hmc.fermion_monomials:
            return True
        hmc = getattr(hmc, "hmc_inner", None)
    return False


def _directions(data: Tensor) -> list[NDArray]:
    """The numbers of each direction in the order of links."""
    array = data.numpy()
    return [array[direction].reshape(-1) for direction in ORDER]


@functools.lru_cache(maxsize=4)
def _places(extents: tuple[int, int, int, int]) -> fast.Places:
    """Where the matrix of each site t,x,y,z is among those of its direction."""
    nt, nx, ny, nz = extents
    t, x, y, z = np.ogrid[:nt, :nx, :ny, :nz]
    parity = (t + x + y + z) % 2
    return fast.places(9 * ((((parity * nt + t) * nz + z) * ny + y) * (nx // 2) + x // 2), 1)


def move(links: Tensor, data: Tensor, into_links: bool) -> None:
    """Copy between the two on their device, in 16 blocks of one parity and direction each."""
    lexico = links[0].permute(0, 1, 4, 3, 2, 5, 6)  # direction, t, z, y, x, row, column
    for t, z, y, parity in itertools.product((0, 1), repeat=4):
        sites = (slice(t, None, 2), slice(z, None, 2), slice(y, None, 2))
        x = slice((t + z + y + parity) % 2, None, 2)
        for mu, direction in enumerate(ORDER):
            ours, theirs = (mu, *sites, x), (direction, parity, *sites)
            if into_links:
                lexico[ours] = data[theirs]
            else:
                data[theirs] = lexico[ours]


def _checked(gauge: Any) -> Tensor:
    """gauge.data as a tensor on the same memory, or the error that says what it should be."""
    info = getattr(gauge, "latt_info", None)
    if info is None or not hasattr(gauge, "data"):
        raise LayoutError(f"PyQUDA gauge: expected a LatticeGauge, found {type(gauge).__name__}")
    if info.Nd != 4 or info.Nc != 3:
        raise LayoutError(f"PyQUDA gauge: expected Nd = 4 and Nc = 3, found Nd = {info.Nd} and "
                          f"Nc = {info.Nc}")
    if getattr(info, "anisotropy", 1.0) != 1.0:
        raise ActionError(f"PyQUDA gauge: expected an isotropic lattice, found anisotropy "
                          f"{info.anisotropy}: this action is not among ours")
    if list(info.size) != list(info.global_size):
        raise LayoutError(f"PyQUDA gauge: expected the whole lattice {list(info.global_size)} on "
                          f"one rank, found a part {list(info.size)}; run this update on one rank")
    data = as_tensor(gauge.data).detach()
    lx, ly, lz, lt = info.size
    shape = (4, 2, lt, lz, ly, lx // 2, 3, 3)
    if tuple(data.shape) != shape:
        raise LayoutError(f"PyQUDA gauge: expected data {list(shape)} (even-odd), found "
                          f"{list(data.shape)}")
    if data.dtype != torch.complex128:
        raise LayoutError(f"PyQUDA gauge: expected complex128, found {data.dtype}; "
                          "data.astype('<c16') is exact")
    if not data.is_contiguous() or data.is_conj() or data.is_neg():
        raise LayoutError("PyQUDA gauge: expected contiguous data, found strides "
                          f"{data.stride()}{', to be conjugated' if data.is_conj() else ''}; "
                          "LatticeGauge(latt_info, data.copy()) makes it so")
    return data


def as_tensor(array: Any) -> Tensor:
    """The same memory as a tensor: numpy, torch, or anything that speaks DLPack (cupy, dpnp)."""
    if isinstance(array, Tensor):
        return array
    if isinstance(array, np.ndarray):
        if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
            raise LayoutError("PyQUDA gauge: expected contiguous, writeable data, found "
                              f"strides {array.strides}, writeable {array.flags.writeable}")
        if not array.dtype.isnative:
            raise LayoutError(f"PyQUDA gauge: expected numbers in native byte order, found "
                              f"{array.dtype.str}; data.astype('<c16') converts")
        return torch.from_numpy(array)
    if not hasattr(array, "__dlpack__"):
        raise LayoutError("PyQUDA gauge: expected data in numpy, cupy, dpnp or torch, found "
                          f"{type(array).__name__}")
    return torch.from_dlpack(array)
