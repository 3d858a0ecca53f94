"""How a lattice is cut: so many ranks along x, y, z and t, each with a part of equal extents."""

import itertools
from dataclasses import dataclass
from typing import NoReturn

import torch

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.part import MOST_SITES, Extents, Network, Part

LEAST = 2  # extent of a part
NAMES = "txyz"


@dataclass(frozen=True)
class Grid:
    """Ranks along (t, x, y, z); rank number n has coordinates like a site has."""

    ranks: Extents

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return torch.Size(self.ranks).numel()

    def coordinates(self, rank: int) -> Extents:
        """Of a rank, along (t, x, y, z)."""
        found = []
        for count in reversed(self.ranks):
            found.append(rank % count)
            rank //= count
        z, y, x, t = found
        return t, x, y, z

    def rank(self, coordinates: tuple[int, ...]) -> int:
        """The inverse of `coordinates`, periodic."""
        number = 0
        for along, count in zip(coordinates, self.ranks, strict=True):
            number = number * count + along % count
        return number

    def beside(self, rank: int, mu: int, step: int) -> int:
        """The neighbour of a rank in direction mu."""
        there = list(self.coordinates(rank))
        there[mu] += step
        return self.rank(tuple(there))

    def part(self, lattice: Extents, rank: int, halo: int, network: Network) -> Part:
        """What a rank holds of a lattice (t, x, y, z), with `halo` sites more where it is cut."""
        extents = [n // count for n, count in zip(lattice, self.ranks, strict=True)]
        origin = [n * at for n, at in zip(extents, self.coordinates(rank), strict=True)]
        depth = [halo if count > 1 else 0 for count in self.ranks]
        return Part(lattice, _four(origin), _four(extents), _four(depth), network)

    def __str__(self) -> str:
        return _shown(self.ranks)


def chosen(
    asked: str, lattice: Extents, size: int, halo: int, even: bool, chains: int = 1
) -> Grid:
    """The grid that "X,Y,Z,T" or "auto" asks for, of `size` processes. Raises ConfigError.

    Several `chains` may run in groups of processes, each on such a grid with as many chains as any
    other. auto: as few groups as there can be, then the least surface; of equal ones that with the
    cut along t, then x, y.
    """
    if asked == "auto":
        grids = next(filter(None, (_fitting(lattice, size // groups, halo, even)
                                   for groups in _groups(size, chains))), None)
        if grids is None:
            raise ConfigError(f"ranks: expected a number of processes that can share the lattice "
                              f"{_shown(lattice)}, found {size}: no grid has parts of at least "
                              f"{max(LEAST, halo)} and at most 3 x 2^26 sites"
                              + (", all even" if even else ""))
        return min(grids, key=lambda grid: (_surface(grid, lattice), *grid.ranks[::-1]))
    grid = _read(asked)
    if size % grid.size or size // grid.size not in _groups(size, chains):
        _refuse(asked, grid.size, size, chains)
    require_fit(grid, lattice, halo, even)
    return grid


def require_fit(grid: Grid, lattice: Extents, halo: int, even: bool) -> None:
    """Raise ConfigError unless a lattice may be cut so: into parts as large, or even, as needed."""
    fault = _fault(grid, lattice, halo, even)
    if fault is not None:
        raise ConfigError(f"ranks: {fault}")


def _groups(size: int, chains: int) -> list[int]:
    """Numbers of groups of equally many processes, with equally many chains each."""
    return [count for count in range(1, chains + 1) if not (chains % count or size % count)]


def _refuse(asked: str, ranks: int, size: int, chains: int) -> NoReturn:
    if chains == 1:
        raise ConfigError(f"ranks: expected a grid of {size} ranks, as many as there are "
                          f"processes, found {asked}: {ranks}")
    fitting = [str(count * ranks) for count in range(1, chains + 1) if chains % count == 0]
    raise ConfigError(f"ranks: expected {' or '.join(fitting)} processes ({asked} for each of "
                      f"equal groups of the {chains} chains), found {size}")


def _fitting(lattice: Extents, size: int, halo: int, even: bool) -> list[Grid]:
    """Grids of so many ranks that fit a lattice."""
    grids = map(Grid, _factorised(size))
    return [grid for grid in grids if _fault(grid, lattice, halo, even) is None]


def _read(asked: str) -> Grid:
    words = asked.split(",")
    if len(words) != 4 or not all(
            word.isascii() and word.isdigit() and 0 < int(word) < 2**16 for word in words):
        raise ConfigError(f"ranks: expected X,Y,Z,T or auto, found {asked[:60]!r}")
    x, y, z, t = map(int, words)
    return Grid((t, x, y, z))


def _fault(grid: Grid, lattice: Extents, halo: int, even: bool) -> str | None:
    """What keeps a grid from a lattice, or None."""
    if torch.Size(lattice).numel() > grid.size * MOST_SITES:
        return ("expected at most 3 x 2^26 sites on each rank, found more: "
                f"{_shown(lattice)} on {grid}")
    for name, extent, count in zip(NAMES, lattice, grid.ranks, strict=True):
        if extent % count:
            return f"expected a number along {name} that divides {extent}, found {count}"
        if count > 1 and extent // count < max(LEAST, halo):
            return (f"expected parts of at least {max(LEAST, halo)} sites along {name}, found "
                    f"{extent // count} (of {extent} on {count} ranks)")
        if count > 1 and even and extent // count % 2:
            return (f"expected parts of even extent along {name} for the parity masks of the drift "
                    f"network, found {extent // count}")
    return None


def _factorised(size: int) -> list[Extents]:
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    return [(t, x, y, z) for t, x, y, z in itertools.product(divisors, repeat=4)
            if t * x * y * z == size]


def _surface(grid: Grid, lattice: Extents) -> int:
    """Sites on the faces of a part that are exchanged."""
    extents = [n // count for n, count in zip(lattice, grid.ranks, strict=True)]
    volume = torch.Size(extents).numel()
    return sum(2 * volume // n for n, count in zip(extents, grid.ranks, strict=True) if count > 1)


def _shown(lattice: Extents) -> str:
    t, x, y, z = lattice
    return f"{x},{y},{z},{t}"


def _four(numbers: list[int]) -> Extents:
    t, x, y, z = numbers
    return t, x, y, z
