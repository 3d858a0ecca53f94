"""The natural layout of numbers in a file, as data: NERSC, ILDG, SciDAC and MILC share it.

Slowest first: t, z, y, x, direction (x,y,z,t), row, column, (re, im).
"""

from dataclasses import dataclass
from typing import NamedTuple


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
