"""GPT's lattices to and from tensors: layout, precision, ranks, and what is refused.

`lattice[:]` gives the sites of one direction with x fastest, then y, z, t, colour row by row.
Conversion costs two passes over the field each way: GPT's vectorised layout to sites in order, and
sites in order to links. With several ranks every rank holds the whole field.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge import layout
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.layout import FILE_DIRECTIONS

from .live import require_periodic_su3

AXES = ("direction", "t", "z", "y", "x", "row", "column")  # of the four lattices[:], stacked
GROUP, ALGEBRA = "ot_matrix_su_n_fundamental_group(3)", "ot_matrix_su_n_fundamental_algebra(3)"
PRECISIONS = {"double": np.complex128, "single": np.complex64}
WORKING_COPIES = 12  # fields of a trajectory: links, momenta, force, features, and what is formed
BROADCAST = 2**30  # bytes; GPT's broadcast counts them in an int

_PLANS: dict[str, dict] = {}  # GPT's copy plans, by layout: made once, as `lattice[:] = ` does


def to_links(U: Sequence[Any]) -> Tensor:
    """Four lattices x,y,z,t -> links [1,4,Nt,Nx,Ny,Nz,3,3] complex128, bit for bit.

    With several ranks, the whole field on each. Raises LayoutError for another group, dimension,
    grid or checkerboard, VerificationError and ActionError for links outside SU(3) and boundaries.
    """
    links = read(U, GROUP)
    require_periodic_su3("GPT field", links)
    return links


def from_links(links: Tensor, U: Sequence[Any]) -> None:
    """Write links into the four lattices, in place; rounded to theirs on a single-precision grid.

    Raises LayoutError as `to_links`, also for links of another lattice or not finite.
    """
    write(links, U, GROUP)


def to_momenta(pi: Sequence[Any]) -> Tensor:
    """GPT's conjugate momenta (algebra lattices) -> P = i pi, like links; K = -tr P^2 is GPT's."""
    return 1j * read(pi, ALGEBRA)


def from_momenta(momenta: Tensor, pi: Sequence[Any]) -> None:
    """Inverse of `to_momenta`, in place: pi = -i P."""
    write(-1j * momenta, pi, ALGEBRA)


def agreed(links: Tensor, numbers: NDArray, grid: Any) -> Tensor:
    """Rank 0's links and numbers on every rank: nodes may round differently."""
    if grid.Nprocessors == 1:
        return links
    grid.broadcast(0, numbers)
    array = np.ascontiguousarray(links.detach().cpu().numpy())
    flat = array.reshape(-1)
    for start in range(0, flat.size, BROADCAST // 16):
        grid.broadcast(0, flat[start:start + BROADCAST // 16])
    return torch.from_numpy(array)


def read(U: Sequence[Any], otype: str) -> Tensor:
    """Four lattices of this type as one tensor in the order of links, unchecked otherwise."""
    grid = _check(U, otype)
    plan = _PLANS.setdefault(f"{otype} {grid}", {})
    everywhere = tuple(slice(0, extent) for extent in grid.fdimensions)
    stacked = np.stack([one[(*everywhere, plan)] for one in U])
    array = stacked.reshape(4, *grid.fdimensions[::-1], 3, 3)
    return layout.to_links(array, AXES, FILE_DIRECTIONS)


def write(links: Tensor, U: Sequence[Any], otype: str) -> None:
    """Inverse of `read`, in place."""
    grid = _check(U, otype)
    array = layout.from_links(links, AXES, FILE_DIRECTIONS)
    if list(array.shape[4:0:-1]) != list(grid.fdimensions):
        raise LayoutError(f"GPT field: expected links on X,Y,Z,T = {list(grid.fdimensions)}, found "
                          f"{list(array.shape[4:0:-1])}")
    if not links.detach().sum().isfinite():
        raise LayoutError("GPT field: expected finite links, found NaN or infinity")
    own = tuple(slice(at * extent, (at + 1) * extent) for at, extent in
                zip(grid.processor_coor, grid.ldimensions, strict=True))
    for one, values in zip(U, array, strict=True):
        local = np.ascontiguousarray(values[own[::-1]], PRECISIONS[grid.precision.__name__])
        one[:] = local.reshape(-1, 3, 3)


def _check(U: Sequence[Any], otype: str) -> Any:
    """The grid of four lattices of one kind, or LayoutError."""
    if not isinstance(U, list | tuple) or not all(hasattr(one, "otype") for one in U):
        raise LayoutError(f"GPT field: expected a list of four lattices, found {type(U).__name__}")
    if len(U) != 4 or U[0].grid.nd != 4:
        raise LayoutError(f"GPT field: expected four directions on a four-dimensional grid, found "
                          f"{len(U)} on {U[0].grid.nd if U else 0} dimensions")
    kinds = {one.otype.__name__ for one in U}
    if kinds != {otype}:
        raise LayoutError(f"GPT field: expected {otype}, found {', '.join(sorted(kinds))} "
                          "(g.convert makes the fundamental SU(3) field)")
    grid = U[0].grid
    if any(one.grid is not grid and str(one.grid) != str(grid) for one in U):
        raise LayoutError("GPT field: expected one grid for the four lattices, found "
                          + " and ".join(sorted({str(one.grid) for one in U})))
    if grid.cb.n != 1 or grid.parent is not None:
        what = "a split grid" if grid.parent is not None else f"checkerboard {grid.cb.__name__}"
        raise LayoutError(f"GPT field: expected full lattices on a grid of all ranks, found {what} "
                          "(g.set_checkerboard, g.unsplit)")
    if grid.precision.__name__ not in PRECISIONS:
        raise LayoutError(f"GPT field: expected a grid in {' or '.join(PRECISIONS)} precision, "
                          f"found {grid.precision.__name__}")
    if grid.Nprocessors > 1:
        _require_room(grid)
    return grid


def _require_room(grid: Any) -> None:
    """Raise LayoutError where the whole field on each rank, all on one node, would not fit."""
    field = 4 * 9 * 16 * int(np.prod(grid.fdimensions))
    needed = WORKING_COPIES * field * grid.Nprocessors
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    if needed > available:
        raise LayoutError(
            f"GPT field: expected room for {WORKING_COPIES} whole fields of {field} bytes on each "
            f"of {grid.Nprocessors} ranks, found {available} bytes free; run this update on fewer "
            "ranks"
        )
