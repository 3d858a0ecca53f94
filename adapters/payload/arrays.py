"""Arrays with named axes, in files or memory maps, to and from links, one time slice at a time."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.fields.axes import DIRECTIONS, FILE_DIRECTIONS

from . import blocks
from .array_layouts import LAYOUTS, lattice_of
from .move import check_slices, links_array
from .quality import measure

SLICE_AXES = ("direction", "x", "y", "z", "row", "column")  # of links, at one t


def array_links(
    path: Path,
    data: Any,
    layouts: Sequence[str],
    slices: tuple[int, int] | None,
    meta: dict[str, Any],
) -> Tensor:
    """Links of an array (anything sliceable) in the one of `layouts` that fits; meta is told.

    Where the shape leaves two, the larger plaquette decides: only one of them multiplies links
    that belong together.
    """
    name = layouts[0]
    if len(layouts) > 1:
        sizes = {layout: measure(_taken(path, data, layout, None)).plaquette for layout in layouts}
        best = max(layouts, key=lambda one: sizes[one])
        noise = 3 / math.sqrt(6 * math.prod(meta["lattice"]))
        clear = sizes[best] - min(sizes.values()) > noise
        name = best if clear else name
        reason = "the plaquette decided" if clear else "nothing decides between the two"
        meta["warnings"].append(f"axes may be those of {' or '.join(layouts)}: {name}'s taken, "
                                f"{reason} (--layout names it)")
    meta["layout"], meta["lattice"] = name, lattice_of(data.shape, name)
    return _taken(path, data, name, slices)


def _taken(path: Path, data: Any, layout: str, slices: tuple[int, int] | None) -> Tensor:
    axes, lattice = LAYOUTS[layout], lattice_of(data.shape, layout)
    at = (slice(None),) * axes.index("t")
    wanted = check_slices(path, slices, lattice[3])
    return gather(lambda t: data[(*at, t)], axes, lattice, wanted)


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

    def move(position: int, _buffer: NDArray) -> None:
        with np.errstate(all="ignore"):  # a damaged file may hold any numbers
            part = slice_at(first + position).transpose(order)
            for mu, direction in enumerate(directions):
                out[mu, position] = part[direction]

    blocks.in_threads(move, list(range(last - first)))
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
