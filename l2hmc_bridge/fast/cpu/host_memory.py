"""Fields of host codes, matrices at any place in memory, to and from links, and what SU(3) asks.

One pass each way, in the compiled kernels if these are chosen (`compiled`), else in torch; bit
for bit the same, and so is what is found of the group but for rounding.
"""

import ctypes
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fast.cpu.shapes import check_matrices, check_shape
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.layout import check_links

NUMBERS = (np.complex64, np.complex128)
ENTRIES = 9  # complex numbers of a matrix


class Places(NamedTuple):
    """Where one direction's matrices are: U(site)[i, j] is number first[site] + (3 i + j) stride.

    first: int64 [V], sites in the order of links, contiguous; size: numbers that this reaches over.
    """

    first: NDArray[np.int64]
    stride: int
    size: int


class Defects(NamedTuple):
    """max |U U^dagger - 1| over entries and max |det U - 1|; NaN if any number is not finite."""

    unitarity: float
    determinant: float


def places(first: NDArray, stride: int) -> Places:
    """Places from their first numbers; raises LayoutError if one lies before the memory."""
    first = np.ascontiguousarray(first, np.int64).reshape(-1)
    reach = (ENTRIES - 1) * stride
    if first.size == 0 or min(int(first.min()), int(first.min()) + reach) < 0:
        raise LayoutError("places: expected matrices inside the field, found none or one before it")
    return Places(first, stride, int(first.max()) + max(0, reach) + 1)


def fetch(
    fields: Sequence[NDArray], at: Places, extents: Sequence[int], compiled: bool
) -> tuple[Tensor, Defects]:
    """Four flat arrays, directions t,x,y,z -> (links [1,4,Nt,Nx,Ny,Nz,3,3] complex128, Defects).

    complex64 is widened, exactly. Raises LayoutError for an array of other numbers or too small.
    """
    _check(fields, at, math.prod(extents))
    links = torch.empty((1, 4, *extents, 3, 3), dtype=torch.complex128)
    if compiled:
        return links, _measured(fields, at, links)
    entries = at.first[:, None] + at.stride * np.arange(ENTRIES)
    for mu, field in enumerate(fields):
        links[0, mu] = torch.from_numpy(field[entries]).reshape(links.shape[2:])
    return links, defects(links, compiled)


def store(links: Tensor, fields: Sequence[NDArray], at: Places, compiled: bool) -> None:
    """Inverse of `fetch`, in place; rounded into complex64. Raises LayoutError as `fetch`, and for
    links of more than one chain.
    """
    check_links(links)
    check_shape("links", links, (1, *links.shape[1:]))
    _check(fields, at, math.prod(links.shape[2:6]))
    if not all(field.flags.writeable for field in fields):
        raise LayoutError("host's field: expected arrays that may be written, found read-only ones")
    plain = library.plain(links.to(device="cpu", dtype=torch.complex128))
    if compiled:
        library.call("store_links", len(fields), library.long(at.first.size), library.threads(),
                    int(fields[0].dtype == np.complex64), _address(at.first),
                    library.long(at.stride), plain, _addresses(fields))
        return
    entries = at.first[:, None] + at.stride * np.arange(ENTRIES)
    for mu, field in enumerate(fields):
        field[entries] = plain[0, mu].reshape(-1, ENTRIES).numpy()


def defects(links: Tensor, compiled: bool) -> Defects:
    """Defects of matrices [..., 3, 3] on any device, complex64 as it is; LayoutError for others."""
    check_matrices(links)
    links = links.detach()
    if not links.numel():
        return Defects(0.0, 0.0)
    if compiled and links.device.type == "cpu":
        return _measured([library.plain(links).numpy().reshape(-1)], None, None)
    if not torch.view_as_real(links.resolve_conj()).isfinite().all():
        return Defects(math.nan, math.nan)
    whole = links.reshape(1, -1, 3, 3).to(torch.complex128)
    return Defects(float(su3.unitarity_defect(whole)), float(su3.determinant_defect(whole)))


def _measured(fields: Sequence[NDArray], at: Places | None, links: Tensor | None) -> Defects:
    """The kernel that fetches, where there are places and links, and finds the defects."""
    found = torch.empty(3, dtype=torch.float64)
    matrices = fields[0].size // ENTRIES if at is None else at.first.size
    library.call("fetch_links", len(fields), library.long(matrices), library.threads(),
                int(fields[0].dtype == np.complex64), None if at is None else _address(at.first),
                library.long(1 if at is None else at.stride), _addresses(fields), links, found)
    unitarity, determinant, spoiled = found.tolist()
    return Defects(math.sqrt(unitarity) + spoiled, math.sqrt(determinant) + spoiled)


def _check(fields: Sequence[NDArray], at: Places, volume: int) -> None:
    dtypes = {field.dtype.type for field in fields}
    native_order = all(field.dtype.isnative for field in fields)
    if len(fields) != 4 or len(dtypes) != 1 or not dtypes < set(NUMBERS) or not native_order:
        raise LayoutError("host's field: expected four arrays of complex128 or of complex64, found "
                          f"{len(fields)} of {', '.join(sorted(kind.__name__ for kind in dtypes))}"
                          f"{'' if native_order else ' in another byte order'}")
    if at.first.size != volume:
        raise LayoutError(f"host's field: expected {volume} matrices, found {at.first.size}")
    for field in fields:
        if field.ndim != 1 or field.size < at.size or not field.flags.c_contiguous:
            raise LayoutError(f"host's field: expected {at.size} numbers one after the other, "
                              f"found shape {field.shape}, strides {field.strides}")


def _address(array: NDArray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _addresses(fields: Sequence[NDArray]) -> ctypes.Array:
    return (ctypes.c_void_p * len(fields))(*(field.ctypes.data for field in fields))
