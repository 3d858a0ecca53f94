"""Conversion of any array to and from `links`, by the names of its axes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields import part
from l2hmc_bridge.fields.axes import (
    AXES as AXES,
    DIRECTIONS as DIRECTIONS,
    FILE_AXES as FILE_AXES,
    FILE_DIRECTIONS as FILE_DIRECTIONS,
    SITE_AXES as SITE_AXES,
)


def to_links(array: NDArray, axes: Sequence[str], directions: Sequence[str]) -> Tensor:
    """Complex array with named `axes` and direction order -> links [Nb,4,Nt,Nx,Ny,Nz,3,3].

    A missing "batch" axis becomes Nb = 1; the result is contiguous complex128, one pass over the
    field; an array that has this very order is not copied but shared. Raises LayoutError.
    """
    _check(array.ndim, axes, directions)
    if "batch" not in axes:
        array, axes = array[None], ("batch", *axes)
    array = _reordered(array, axes, directions, AXES, DIRECTIONS)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.complex128))


def from_links(links: Tensor, axes: Sequence[str], directions: Sequence[str]) -> NDArray:
    """Inverse of `to_links`; without a "batch" axis in `axes`, Nb must be 1. Raises LayoutError.

    In the order of links themselves the array shares their memory; otherwise it is new.
    """
    check_links(links)
    array = links.detach().cpu().numpy()
    names: Sequence[str] = AXES
    if "batch" not in axes:
        if array.shape[0] != 1:
            raise LayoutError(f"links: expected one configuration, found {array.shape[0]}")
        array, names = array[0], AXES[1:]
    _check(array.ndim, axes, directions)
    return np.ascontiguousarray(_reordered(array, names, DIRECTIONS, axes, directions))


def check_links(links: Tensor) -> None:
    """Raise LayoutError unless `links` is a complex tensor [Nb,4,Nt,Nx,Ny,Nz,3,3]."""
    if not isinstance(links, Tensor):
        raise LayoutError(f"links: expected a torch tensor, found {type(links).__name__}")
    if links.ndim != 8 or links.shape[1] != 4 or links.shape[-2:] != (3, 3):
        raise LayoutError(
            f"links: expected [Nb,4,Nt,Nx,Ny,Nz,3,3], found {list(links.shape)}"
        )
    if not links.is_complex():
        raise LayoutError(f"links: expected complex numbers, found {links.dtype}")


def check_like(name: str, field: Tensor, links: Tensor, mu: int | None = None) -> None:
    """Raise LayoutError unless `field` has the shape of `links`, or of their direction `mu`."""
    shape = links.shape if mu is None else links.shape[:1] + links.shape[2:]
    if field.shape != shape:
        raise LayoutError(f"{name}: expected {list(shape)}, as links {list(links.shape)} need it, "
                          f"found {list(field.shape)}")


def check_direction(mu: int) -> None:
    """Raise LayoutError unless `mu` is the number of a direction."""
    if type(mu) is not int or mu not in range(len(DIRECTIONS)):
        raise LayoutError(f"mu: expected a direction from 0 to {len(DIRECTIONS) - 1}, found {mu!r}")


def extents(links: Tensor) -> tuple[int, int, int, int]:
    """(Nt, Nx, Ny, Nz) of `links`."""
    nt, nx, ny, nz = links.shape[2:6]
    return nt, nx, ny, nz


def volume(links: Tensor) -> int:
    """Number of sites, those of all processes where each holds a part of the lattice."""
    held = part.of(links)
    if held is not None:
        return held.volume
    nt, nx, ny, nz = links.shape[2:6]
    return nt * nx * ny * nz


def site_mean_axes(field: Tensor) -> tuple[int, ...]:
    """All axes but the batch axis, for sums that leave [Nb]."""
    return tuple(range(1, field.ndim))


def _reordered(
    array: NDArray, axes: Sequence[str], directions: Sequence[str],
    new_axes: Sequence[str], new_directions: Sequence[str],
) -> NDArray:
    """`array` in new orders, in one pass; itself if nothing changes."""
    permutation = [list(axes).index(name) for name in new_axes]
    order = [list(directions).index(name) for name in new_directions]
    if permutation == sorted(permutation) and order == sorted(order):
        return array
    shape, dtype = [array.shape[at] for at in permutation], array.dtype
    array = _moved(array, axes, new_axes)
    out, before = np.empty(array.shape, array.dtype), list(new_axes).index("direction")
    for new, old in enumerate(order):
        out[(slice(None),) * before + (new,)] = array[(slice(None),) * before + (old,)]
    return out if array.dtype == dtype else out.view(dtype).reshape(shape)


def _moved(array: NDArray, axes: Sequence[str], new_axes: Sequence[str]) -> NDArray:
    """A view with its axes in a new order; matrices that are whole in memory as one element each.

    They then move as such, eight times faster than number by number.
    """
    permutation = [list(axes).index(name) for name in new_axes]
    size = array.itemsize
    if (list(axes[-2:]) == list(new_axes[-2:]) == ["row", "column"]
            and array.shape[-2:] == (3, 3) and array.strides[-2:] == (3 * size, size)):
        array = array.reshape(*array.shape[:-2], 9).view(f"V{9 * size}")[..., 0]
        permutation = permutation[:-2]
    return array.transpose(permutation)


def _check(ndim: int, axes: Sequence[str], directions: Sequence[str]) -> None:
    if ndim != len(axes) or set(axes) | {"batch"} != set(AXES) or len(set(axes)) != len(axes):
        raise LayoutError(f"axes: expected {AXES} in any order for {ndim} axes, found {axes}")
    if sorted(directions) != sorted(DIRECTIONS):
        raise LayoutError(f"directions: expected {DIRECTIONS} in any order, found {directions}")


def parity(links: Tensor) -> Tensor:
    """(t + x + y + z) mod 2 of each site, bool [Nt,Nx,Ny,Nz]."""
    axes = [torch.arange(n, device=links.device) for n in links.shape[2:6]]
    t, x, y, z = torch.meshgrid(*axes, indexing="ij")
    return (t + x + y + z) % 2 == 1
