"""GPT's lattices to and from tensors: layout, precision, ranks, and what is refused.

On each rank numbers go straight between GPT's memory (`lattice.mview()`, its vectorised layout) and
links, one pass each way. Where each is, GPT is asked once a grid: numbered sites and entries are
written through `lattice[coordinates]` and found again in memory. Where no such places are found,
GPT copies: `lattice[coordinates]` gives the sites that are asked for, (x,y,z,t) each, colour row by
row. With several ranks links are those of a rank's own sites, and copies beside them, while the
ranks share the lattice (`cut.sharing`); else every rank has the whole field, which GPT gathers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fields.agreement import everywhere_finite, with_copies
from l2hmc_bridge.fields.layout import DIRECTIONS, FILE_DIRECTIONS, check_links

from .cut import along_txyz
from .gpt_grid import PRECISIONS, coordinates, cut_of, grid_of, own, require_room, sites
from .refuse import require_periodic_su3

GROUP, ALGEBRA = "ot_matrix_su_n_fundamental_group(3)", "ot_matrix_su_n_fundamental_algebra(3)"
EXACT = {np.complex128: 2**53, np.complex64: 2**24}  # whole numbers up to here are held exactly
BROADCAST = 2**30  # bytes; GPT's broadcast counts them in an int

_PLACES: dict[str, fast.Places | None] = {}  # by layout


def to_links(U: Sequence[Any]) -> Tensor:
    """Four lattices x,y,z,t -> links [1,4,Nt,Nx,Ny,Nz,3,3] complex128, bit for bit.

    With several ranks those of this rank where they share the lattice (`cut.sharing`), else the
    whole field on each. Raises LayoutError for another group, dimension,
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


def read(U: Sequence[Any], otype: str, copies: bool = True) -> Tensor:
    """Four lattices of this type as one tensor in the order of links, unchecked otherwise.

    copies: of other ranks' sites, where they share the lattice; without, this rank's own alone.
    """
    return _fetch(U, otype, copies)[0]


def _fetch(U: Sequence[Any], otype: str, copies: bool = True
           ) -> tuple[Tensor, fast.Defects | None]:
    """(links, how far from SU(3) they are where the pass found that)."""
    grid = grid_of(U, otype)
    part = cut_of(grid).held()
    if part is None and grid.Nprocessors > 1:
        require_room(grid)
        return _copied(U, _layout(otype, grid), whole=True), None
    extents, places = along_txyz(grid.ldimensions), _places(U[0], _layout(otype, grid))
    if places is not None:
        links, defects = fast.fetch_links(_in_order(U), places, extents)
    else:
        links, defects = _copied(U, _layout(otype, grid), whole=False), None
    return with_copies(part, links) if part is not None and copies else links, defects


def _copied(U: Sequence[Any], key: str, whole: bool) -> Tensor:
    """The links of all sites, or of this rank's, as GPT copies them."""
    grid = U[0].grid
    x, y, z, t = grid.fdimensions if whole else grid.ldimensions
    at, plan = sites(key, grid, whole)
    links = np.empty((1, 4, t, x, y, z, 3, 3), np.complex128)
    for one, name in zip(U, FILE_DIRECTIONS, strict=True):
        links[0, DIRECTIONS.index(name)] = one[at, plan].reshape(links.shape[2:])
    return torch.from_numpy(links)


def write(links: Tensor, U: Sequence[Any], otype: str) -> None:
    """Inverse of `read`, in place."""
    grid = grid_of(U, otype)
    if len({id(one) for one in U}) != len(U):
        raise LayoutError("GPT field: expected four lattices to write into, found one of them "
                          "twice")
    check_links(links)
    cut = cut_of(grid)
    part = cut.held()
    expected = cut.lattice if part is None else part.held
    if tuple(links.shape[:6]) != (1, 4, *expected):
        raise LayoutError(f"GPT field: expected one configuration on T,X,Y,Z = {list(expected)}, "
                          f"found {links.shape[0]} on {list(links.shape[2:6])}")
    if not everywhere_finite(links):
        raise LayoutError("GPT field: expected finite links, found NaN or infinity")
    mine = links[(slice(None), slice(None), *(
        slice(o, o + n) for o, n in zip(cut.origin, cut.extents, strict=True)))
                 ] if part is None else part.kept(links)
    places = _places(U[0], _layout(otype, grid))
    if places is not None:
        fast.store_links(mine, _in_order(U), places)
        return
    array = mine[0].detach().cpu().resolve_conj().resolve_neg().numpy()
    at, dtype = sites(_layout(otype, grid), grid, whole=False), PRECISIONS[grid.precision.__name__]
    for one, name in zip(U, FILE_DIRECTIONS, strict=True):
        one[at] = np.ascontiguousarray(array[DIRECTIONS.index(name)], dtype).reshape(-1, 3, 3)


def _layout(otype: str, grid: Any) -> str:
    """What decides where numbers are: str(grid) leaves out which directions are vectorised."""
    return f"{otype} {grid} {grid.cb.simd_mask}"


def _places(one: Any, key: str) -> fast.Places | None:
    """Where a lattice like this one keeps its matrices, asked once a layout; None: GPT copies."""
    if not hasattr(one, "mview"):
        return None
    key = f"{type(one).__module__} {key}"
    if key not in _PLACES:
        _PLACES[key] = _found(one.new(), coordinates(own(one.grid)))
    return _PLACES[key]


def _found(probe: Any, at: NDArray) -> fast.Places | None:
    """The places of this lattice's numbers, which are overwritten; None if they follow no stride.

    Entry k of the matrix of site s is set to s + i k through GPT.
    """
    count, dtype = len(at), PRECISIONS[probe.grid.precision.__name__]
    if count > EXACT[dtype] or len(probe.mview()) != 1:
        return None
    numbers: NDArray = np.empty((count, 9), dtype)
    numbers.real, numbers.imag = np.arange(count)[:, None], np.arange(9)
    probe[at] = numbers.reshape(-1, 3, 3)
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
