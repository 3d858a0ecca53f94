"""GPT's lattices to and from tensors: layout, precision, ranks, and what is refused.

On one rank numbers go straight between GPT's memory (`lattice.mview()`, its vectorised layout) and
links, one pass each way. Where each is, GPT is asked once a grid: numbered sites and entries are
written through `lattice[coordinates]` and found again in memory. With several ranks, or where no
such places are found, GPT copies: `lattice[coordinates]` gives the sites that are asked for,
(x,y,z,t) each, colour row by row; every rank then holds the whole field.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields.layout import DIRECTIONS, FILE_DIRECTIONS, check_links

from .refuse import require_periodic_su3

GROUP, ALGEBRA = "ot_matrix_su_n_fundamental_group(3)", "ot_matrix_su_n_fundamental_algebra(3)"
PRECISIONS = {"double": np.complex128, "single": np.complex64}
EXACT = {np.complex128: 2**53, np.complex64: 2**24}  # whole numbers up to here are held exactly
WORKING_COPIES = 12  # fields of a trajectory: links, momenta, force, features, and what is formed
BROADCAST = 2**30  # bytes; GPT's broadcast counts them in an int

_PLANS: dict[str, tuple[NDArray, dict]] = {}  # by layout, as GPT's own `lattice[:] = ` keeps them
_PLACES: dict[str, fast.Places | None] = {}  # by layout, on one rank


def to_links(U: Sequence[Any]) -> Tensor:
    """Four lattices x,y,z,t -> links [1,4,Nt,Nx,Ny,Nz,3,3] complex128, bit for bit.

    With several ranks, the whole field on each. Raises LayoutError for another group, dimension,
    grid or checkerboard, VerificationError and ActionError for links outside SU(3) and boundaries.
    """
    links, defects = _fetch(U, GROUP)
    require_periodic_su3("GPT field", links, defects)
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
    return _fetch(U, otype)[0]


def _fetch(U: Sequence[Any], otype: str) -> tuple[Tensor, fast.Defects | None]:
    """(links, how far from SU(3) they are where the pass found that)."""
    grid = _check(U, otype)
    x, y, z, t = grid.fdimensions
    places = _places(U[0], _layout(otype, grid))
    if places is not None:
        return fast.fetch_links(_in_order(U), places, (t, x, y, z))
    sites, plan = _sites(_layout(otype, grid), grid, whole=True)
    links = np.empty((1, 4, t, x, y, z, 3, 3), np.complex128)
    for one, name in zip(U, FILE_DIRECTIONS, strict=True):
        links[0, DIRECTIONS.index(name)] = one[sites, plan].reshape(links.shape[2:])
    return torch.from_numpy(links), None


def write(links: Tensor, U: Sequence[Any], otype: str) -> None:
    """Inverse of `read`, in place."""
    grid = _check(U, otype)
    if len({id(one) for one in U}) != len(U):
        raise LayoutError("GPT field: expected four lattices to write into, found one of them "
                          "twice")
    check_links(links)
    x, y, z, t = grid.fdimensions
    if tuple(links.shape[:6]) != (1, 4, t, x, y, z):
        raise LayoutError(f"GPT field: expected one configuration on T,X,Y,Z = {[t, x, y, z]}, "
                          f"found {links.shape[0]} on {list(links.shape[2:6])}")
    if not links.detach().sum().isfinite():
        raise LayoutError("GPT field: expected finite links, found NaN or infinity")
    places = _places(U[0], _layout(otype, grid))
    if places is not None:
        fast.store_links(links, _in_order(U), places)
        return
    array = links[0].detach().cpu().resolve_conj().resolve_neg().numpy()
    own, dtype = _own(grid), PRECISIONS[grid.precision.__name__]
    sites = _sites(_layout(otype, grid), grid, whole=False)
    for one, name in zip(U, FILE_DIRECTIONS, strict=True):
        values = array[DIRECTIONS.index(name)][own[3], own[0], own[1], own[2]]
        one[sites] = np.ascontiguousarray(values, dtype).reshape(-1, 3, 3)


def _layout(otype: str, grid: Any) -> str:
    """What decides where numbers are: str(grid) leaves out which directions are vectorised."""
    return f"{otype} {grid} {grid.cb.simd_mask}"


def _places(one: Any, key: str) -> fast.Places | None:
    """Where a lattice like this one keeps its matrices, asked once a layout; None: GPT copies."""
    if one.grid.Nprocessors > 1 or not hasattr(one, "mview"):
        return None
    key = f"{type(one).__module__} {key}"
    if key not in _PLACES:
        _PLACES[key] = _found(one.new(), _coordinates(_own(one.grid)))
    return _PLACES[key]


def _found(probe: Any, sites: NDArray) -> fast.Places | None:
    """The places of this lattice's numbers, which are overwritten; None if they follow no stride.

    Entry k of the matrix of site s is set to s + i k through GPT.
    """
    count, dtype = len(sites), PRECISIONS[probe.grid.precision.__name__]
    if count > EXACT[dtype] or len(probe.mview()) != 1:
        return None
    numbers: NDArray = np.empty((count, 9), dtype)
    numbers.real, numbers.imag = np.arange(count)[:, None], np.arange(9)
    probe[sites] = numbers.reshape(-1, 3, 3)
    memory = _memory(probe)
    starts = np.flatnonzero(memory.imag == 0)
    if memory.size != numbers.size or len(starts) != count:
        return None
    first = np.full(count, -1)
    first[memory.real[starts].astype(np.int64)] = starts
    stride = int(np.flatnonzero((memory.real == 0) & (memory.imag == 1))[0]) - int(first[0])
    entries = first[:, None] + stride * np.arange(9)
    if entries.min() < 0 or entries.max() >= memory.size or (memory[entries] != numbers).any():
        return None
    return fast.places(first, stride)


def _in_order(U: Sequence[Any]) -> list[NDArray]:
    """The numbers of the four lattices, in the order of links."""
    return [_memory(U[FILE_DIRECTIONS.index(name)]) for name in DIRECTIONS]


def _memory(one: Any) -> NDArray:
    """A lattice's own memory as it lies there; to be let go before GPT works with it again."""
    return np.frombuffer(one.mview()[0], PRECISIONS[one.grid.precision.__name__])


def _own(grid: Any) -> tuple[slice, ...]:
    """The x,y,z,t of the sites of this rank."""
    return tuple(slice(at * extent, (at + 1) * extent) for at, extent in
                 zip(grid.processor_coor, grid.ldimensions, strict=True))


def _sites(key: str, grid: Any, whole: bool) -> tuple[NDArray, dict]:
    """(x,y,z,t of sites in the order of links, of the rank or of all; GPT's plan), made once.

    GPT copies sites in any order it is asked for: ours needs no second pass.
    """
    key = f"{key} {'all' if whole else grid.processor_coor}"
    if key not in _PLANS:
        _PLANS[key] = _coordinates(
            [slice(0, extent) for extent in grid.fdimensions] if whole else _own(grid)), {}
    return _PLANS[key]


def _coordinates(ranges: Sequence[slice]) -> NDArray:
    """x,y,z,t of the sites in these ranges, in the order of links, int32 [V,4]."""
    x, y, z, t = (np.arange(one.start, one.stop, dtype=np.int32) for one in ranges)
    mesh = np.stack(np.meshgrid(t, x, y, z, indexing="ij"), -1).reshape(-1, 4)
    return np.ascontiguousarray(mesh[:, [1, 2, 3, 0]])


def _check(U: Sequence[Any], otype: str) -> Any:
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
    if grid.Nprocessors > 1:
        _require_room(grid)
    return grid


def _require_room(grid: Any) -> None:
    """Raise LayoutError if the whole field on each rank, all on one node, would not fit."""
    field = 4 * 9 * 16 * int(np.prod(grid.fdimensions))
    needed = WORKING_COPIES * field * grid.Nprocessors
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    if needed > available:
        raise LayoutError(
            f"GPT field: expected room for {WORKING_COPIES} whole fields of {field} bytes on each "
            f"of {grid.Nprocessors} ranks, found {available} bytes free; run this update on fewer "
            "ranks"
        )
