"""Arrays with named axes, in files or memory maps, to and from links, one time slice at a time."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.layout import DIRECTIONS, FILE_AXES, FILE_DIRECTIONS

from . import blocks
from .payload import links_array

# PyQUDA's npy and HDF5 files: direction slowest. lyncs_io loads ILDG payloads in FILE_AXES.
DIRECTION_FIRST = ("direction", "t", "z", "y", "x", "row", "column")
LAYOUTS = {"pyquda": DIRECTION_FIRST, "lyncs": FILE_AXES}
SLICE_AXES = ("direction", "x", "y", "z", "row", "column")  # of links, at one t


def layout_of(shape: Sequence[int], layout: str | None) -> tuple[str, tuple[int, int, int, int]]:
    """(layout name, lattice X,Y,Z,T) of an array of this shape; FormatError where it is neither.

    Where both fit (direction first and x = 4), PyQUDA's is taken unless `layout` says otherwise.
    """
    if layout is not None and layout not in LAYOUTS:
        raise FormatError(f"layout: expected one of {', '.join(LAYOUTS)}, found {layout!r}")
    for name, axes in LAYOUTS.items():
        fits = len(shape) == 7 and tuple(shape[-2:]) == (3, 3) and (
            shape[axes.index("direction")] == 4
        )
        if fits and layout in (None, name):
            return name, tuple(int(shape[axes.index(axis)]) for axis in "xyzt")
    raise FormatError(f"array: expected shape (4,T,Z,Y,X,3,3) or (T,Z,Y,X,4,3,3), found "
                      f"{tuple(shape)}")


def gather(
    slice_at: Callable[[int], NDArray],
    axes: Sequence[str],
    lattice: tuple[int, int, int, int],
    slices: tuple[int, int],
) -> Tensor:
    """Links [1,4,b-a,Nx,Ny,Nz,3,3] of time slices a..b-1.

    slice_at(t): complex array of slice t whose axes are `axes` without "t", directions x,y,z,t.
    """
    nx, ny, nz, _ = lattice
    first, last = slices
    names = [name for name in axes if name != "t"]
    order = [names.index(name) for name in SLICE_AXES]
    directions = [FILE_DIRECTIONS.index(name) for name in DIRECTIONS]
    out = np.empty((4, last - first, nx, ny, nz, 3, 3), np.complex128)

    def move(position: int) -> None:
        part = slice_at(first + position).transpose(order)
        for mu, direction in enumerate(directions):
            out[mu, position] = part[direction]

    blocks.in_threads(move, last - first)
    return torch.from_numpy(out)[None]


def scatter(links: Tensor, axes: Sequence[str], place: Callable[[int, NDArray], None]) -> None:
    """Inverse of `gather`: calls place(t, slice of time t) one after the other."""
    names = [name for name in axes if name != "t"]
    order = [SLICE_AXES.index(name) for name in names]
    array = links_array(links)
    directions = [DIRECTIONS.index(name) for name in FILE_DIRECTIONS]
    for time_slice in range(array.shape[1]):
        part = array[:, time_slice][directions]
        place(time_slice, part.transpose(order))
