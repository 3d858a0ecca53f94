"""HiRep configurations: N, T,X,Y,Z, the plaquette, then the links of each site as 3x3 matrices.

Big endian: five int32, one float64 (plaquette, 1 on the unit field), then for every site, z fastest
and t slowest, the links along t,x,y,z in complex128 (HiRep LibHR/IO/archive.c:
write_gauge_field_matrix). There is no magic and no checksum.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.payload.arrays import gather, scatter
from l2hmc_bridge.adapters.payload.move import check_slices
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.fields.axes import DIRECTIONS, FILE_DIRECTIONS
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.storage.atomic import replacing

from .hirep_header import HEADER, parse

AXES = ("t", "x", "y", "z", "direction", "row", "column")
PLAQUETTE_TOLERANCE = 1e-10
# Where the directions x,y,z,t stand among those of the file, and the other way round.
FROM_FILE = [DIRECTIONS.index(name) for name in FILE_DIRECTIONS]
TO_FILE = [FILE_DIRECTIONS.index(name) for name in DIRECTIONS]


def read(
    path: Path, verify: bool = True, slices: tuple[int, int] | None = None
) -> Configuration:
    """Links and metadata; the stored plaquette is checked if all links are read."""
    meta, plaquette = parse(path)
    nx, ny, nz, nt = meta["lattice"]
    wanted = check_slices(path, slices, nt)
    mapped = np.memmap(path, ">c16", "r", HEADER.size, (nt, nx, ny, nz, 4, 3, 3))
    links = gather(lambda t: mapped[t][..., FROM_FILE, :, :], AXES, meta["lattice"], wanted)
    read = examined(links, meta, verify)
    if verify and slices is None:
        meta["checks"].append(
            check("plaquette", meta["plaquette"], plaquette, PLAQUETTE_TOLERANCE))
    return read


def write(path: Path, configuration: Configuration, force: bool = False) -> None:
    """HiRep's file, double precision."""
    links = configuration.links
    nt, nx, ny, nz = links.shape[2:6]
    measured = writable(path, links, 64)
    with replacing(path, force) as file:
        file.write(HEADER.pack(3, nt, nx, ny, nz, measured.plaquette))

        def place(_time_slice: int, part: NDArray[np.complex128]) -> None:
            file.write(part[..., TO_FILE, :, :].astype(">c16").tobytes())

        scatter(links, AXES, place)
