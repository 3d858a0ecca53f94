"""What GPT says of a grid: sites, ranks, and which lattices on it make a gauge field."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.errors import LayoutError

from .cut import Cut, along_txyz

PRECISIONS = {"double": np.complex128, "single": np.complex64}
WORKING_COPIES = 12  # fields of a trajectory: links, momenta, force, features, and what is formed

_PLANS: dict[str, tuple[NDArray, dict]] = {}  # by layout, as GPT's own `lattice[:] = ` keeps them


def cut_of(grid: Any) -> Cut:
    """How the ranks of a grid share its lattice. Raises LayoutError for another dimension."""
    if grid.nd != 4:
        raise LayoutError(f"GPT field: expected a four-dimensional grid, found {grid.nd} "
                          "dimensions")
    return Cut("GPT field", along_txyz(grid.fdimensions), along_txyz(grid.mpi),
               along_txyz(grid.processor_coor), along_txyz(grid.ldimensions), grid.processor)


def own(grid: Any) -> tuple[slice, ...]:
    """The x,y,z,t of the sites of this rank."""
    return tuple(slice(at * extent, (at + 1) * extent) for at, extent in
                 zip(grid.processor_coor, grid.ldimensions, strict=True))


def sites(key: str, grid: Any, whole: bool) -> tuple[NDArray, dict]:
    """(x,y,z,t of sites in the order of links, of the rank or of all; GPT's plan), made once.

    GPT copies sites in any order it is asked for: ours needs no second pass.
    """
    key = f"{key} {'all' if whole else grid.processor_coor}"
    if key not in _PLANS:
        _PLANS[key] = coordinates(
            [slice(0, extent) for extent in grid.fdimensions] if whole else own(grid)), {}
    return _PLANS[key]


def coordinates(ranges: Sequence[slice]) -> NDArray:
    """x,y,z,t of the sites in these ranges, in the order of links, int32 [V,4]."""
    x, y, z, t = (np.arange(one.start, one.stop, dtype=np.int32) for one in ranges)
    mesh = np.stack(np.meshgrid(t, x, y, z, indexing="ij"), -1).reshape(-1, 4)
    return np.ascontiguousarray(mesh[:, [1, 2, 3, 0]])


def grid_of(U: Sequence[Any], otype: str) -> Any:
    """The grid of four lattices of one kind, or LayoutError."""
    if not isinstance(U, list | tuple) or not all(hasattr(one, "otype") for one in U):
        listed = isinstance(U, list | tuple)
        found = [type(one).__name__ for one in U] if listed else type(U).__name__
        raise LayoutError(f"GPT field: expected a list of four lattices, found {found}; an "
                          "expression becomes a lattice by g(...)")
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
    return grid


def require_room(grid: Any) -> None:
    """Raise LayoutError if the whole field on each rank, all on one node, would not fit."""
    field = 4 * 9 * 16 * int(np.prod(grid.fdimensions))
    needed = WORKING_COPIES * field * grid.Nprocessors
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    if needed > available:
        raise LayoutError(
            f"GPT field: expected room for {WORKING_COPIES} whole fields of {field} bytes on each "
            f"of {grid.Nprocessors} ranks, found {available} bytes free; without gather each "
            "rank holds its own sites alone"
        )
