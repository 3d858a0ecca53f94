"""The natural layout of numbers in a file, as data: NERSC, ILDG, SciDAC and MILC share it.

Slowest first: t, z, y, x, direction (x,y,z,t), row, column, (re, im).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from l2hmc_bridge.errors import FormatError

LARGEST_EXTENT = 1 << 16


class Block(NamedTuple):
    """`planes` planes of slice t from z on; `position`: the slice's place in the links."""

    position: int
    t: int
    z: int
    planes: int


@dataclass(frozen=True)
class Payload:
    """offset in bytes; lattice (X,Y,Z,T); word 4 or 8 bytes a real; rows 2 or 3 of each link."""

    offset: int
    lattice: tuple[int, int, int, int]
    word: int
    big: bool
    rows: int = 3

    @property
    def volume(self) -> int:
        nx, ny, nz, nt = self.lattice
        return nx * ny * nz * nt

    @property
    def site_bytes(self) -> int:
        return 4 * self.rows * 3 * 2 * self.word

    @property
    def size(self) -> int:
        return self.site_bytes * self.volume

    def extent(self, block: Block) -> tuple[int, int]:
        """(rank of the first site, size in bytes) of a block."""
        nx, ny, nz, _ = self.lattice
        return nx * ny * (block.z + nz * block.t), nx * ny * block.planes * self.site_bytes


def check_lattice(path: Path, lattice: Sequence[int]) -> tuple[int, int, int, int]:
    """Four extents between 1 and 65536, or FormatError."""
    if len(lattice) != 4:
        raise FormatError(f"{path}: expected 4 extents, found {len(lattice)}: {list(lattice)}")
    if not all(1 <= extent <= LARGEST_EXTENT for extent in lattice):
        raise FormatError(
            f"{path}: expected extents from 1 to {LARGEST_EXTENT}, found {list(lattice)}"
        )
    x, y, z, t = map(int, lattice)
    return x, y, z, t


def meaning(lattice: Sequence[int], size: int) -> str:
    """What a payload of this size holds if it is not SU(3) on this lattice; "" if nobody knows."""
    sites = math.prod(lattice)
    for colours in (2, 4, 5, 6, 8):
        for rows in (colours, colours - 1):
            for word in (4, 8):
                if size == sites * 4 * rows * colours * 2 * word:
                    return (f" (holds SU({colours}): {rows}x{colours} matrices in {8 * word} bits "
                            "have that size)")
    for word in (8, 4):
        site = 4 * 18 * word
        if size % site == 0:
            return f" ({size // site} sites of SU(3) in {8 * word} bits have that size)"
    return ""
