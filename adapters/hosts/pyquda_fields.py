"""PyQUDA's LatticeGauge to and from links: layout, memory, ranks, and what is refused.

LatticeGauge.data is [4, 2, Lt, Lz, Ly, Lx/2, 3, 3] complex128, directions x,y,z,t, in numpy, cupy,
dpnp or torch. Site (x,y,z,t) lies at parity p = (x+y+z+t) mod 2 and h = x//2, so that
x = 2h + (p+y+z+t) mod 2.
Arrays on a GPU are handed over by DLPack and stay there; either way a conversion is one pass over
the field, into the one new array (to links) or into the array that is there (from links).
"""

import functools
import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fields.agreement import everywhere_finite, with_copies
from l2hmc_bridge.fields.layout import DIRECTIONS, FILE_DIRECTIONS
from l2hmc_bridge.fields.part import Part

from .cut import Cut, along_txyz
from .refuse import require_periodic_su3

ORDER = [FILE_DIRECTIONS.index(name) for name in DIRECTIONS]  # links[:, mu] is data[ORDER[mu]]


def to_links(gauge: Any) -> Tensor:
    """LatticeGauge -> links [1,4,Nt,Nx,Ny,Nz,3,3] complex128 on the device it is on, bit for bit.

    Of a lattice that several ranks share (`cut.sharing`) those of this rank, with copies of the
    sites beside its own. Raises LayoutError for another group, dimension, precision or array, a
    part that is not shared or memory that is not contiguous; ActionError for anisotropy;
    VerificationError for links outside SU(3).
    """
    data = checked(gauge)
    _, _, nt, nz, ny, half = data.shape[:6]
    extents, part = (nt, 2 * half, ny, nz), _part(gauge)
    if in_main_memory(data):
        links, defects = fast.fetch_links(_directions(data), _places(extents), extents)
    else:
        links, defects = data.new_empty((1, 4, *extents, 3, 3)), None
        move(links, data, into_links=True)
    links = links if part is None else with_copies(part, links)
    require_periodic_su3("PyQUDA gauge", links, defects)
    return links


def from_links(links: Tensor, gauge: Any) -> None:
    """Write links into gauge.data, in place; LayoutError as `to_links`, and where none fit."""
    data = checked(gauge)
    _, _, nt, nz, ny, half = data.shape[:6]
    extents, part = (nt, 2 * half, ny, nz), _part(gauge)
    expected = (1, 4, *(extents if part is None else part.held), 3, 3)
    if tuple(links.shape) != expected or not links.is_complex():
        raise LayoutError(f"PyQUDA gauge: expected complex links {list(expected)}, found "
                          f"{links.dtype} {list(links.shape)}")
    if not everywhere_finite(links):
        raise LayoutError("PyQUDA gauge: expected finite links, found NaN or infinity")
    own = links.detach() if part is None else part.kept(links.detach())
    if in_main_memory(data):
        fast.store_links(own, _directions(data), _places(extents))
    else:
        move(own, data, into_links=False)


def in_main_memory(data: Tensor) -> bool:
    """Whether our kernels can read it."""
    return data.device.type == "cpu"


def cut_of(gauge: Any) -> Cut:
    """How PyQUDA's ranks share the lattice. LayoutError as `to_links`."""
    data, info = checked(gauge), gauge.latt_info
    return Cut("PyQUDA gauge", along_txyz(info.global_size), along_txyz(info.grid_size),
               along_txyz(info.grid_coord), along_txyz(info.size), info.mpi_rank, data.device)


def _part(gauge: Any) -> Part | None:
    """The part of this rank where several share the lattice; LayoutError if it is not held."""
    cut = cut_of(gauge)
    part = cut.held()
    if part is None and not cut.alone:
        raise LayoutError(
            f"PyQUDA gauge: expected the whole lattice {list(gauge.latt_info.global_size)} on one "
            f"rank, found a part {list(gauge.latt_info.size)}; l2hmc_proposal and nested_update "
            "share it among the ranks")
    return part


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


def checked(gauge: Any) -> Tensor:
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
    if any(extent % 2 for extent in info.size):
        raise LayoutError(f"PyQUDA gauge: expected even extents on every rank, whose sites lie by "
                          f"parity, found {list(info.size)}")
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
