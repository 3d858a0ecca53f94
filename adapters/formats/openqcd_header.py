"""The header of openQCD configurations: T,X,Y,Z and the plaquette, 24 bytes; see openqcd."""

import math
import os
import struct
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import check_lattice
from l2hmc_bridge.errors import FormatError

HEADER = struct.Struct("<4id")
SITE_BYTES = 576


def sniff(head: bytes, size: int) -> bool:
    """There is no magic: the extents must explain the file's size exactly."""
    if len(head) < HEADER.size:
        return False
    *extents, plaquette = HEADER.unpack(head[: HEADER.size])
    explained = all(extent > 0 for extent in extents) and (
        size == HEADER.size + SITE_BYTES * math.prod(extents)
    )
    return explained and (math.isnan(plaquette) or abs(plaquette) <= 3.1)


def header(path: Path) -> dict[str, Any]:
    """Metadata without the links; the order of the extents is as stated."""
    return parse(path)[0]


def parse(path: Path) -> tuple[dict[str, Any], tuple[int, ...], float]:
    """(metadata, extents T,X,Y,Z as stated, stored plaquette)."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise FormatError(f"{path}: expected a 24-byte openQCD header, found {len(head)} bytes")
    *stated, plaquette = HEADER.unpack(head)
    extents = check_lattice(path, stated)
    expected = SITE_BYTES * math.prod(extents)
    if size - HEADER.size != expected:
        raise FormatError(f"{path}: payload: expected {expected} bytes for T,X,Y,Z = "
                          f"{','.join(map(str, extents))}, found {size - HEADER.size}")
    refuse_odd(path, extents)
    nt, nx, ny, nz = extents
    meta = metadata.basic(
        path,
        format="openqcd",
        dialect="openQCD",
        precision=64,
        lattice=(nx, ny, nz, nt),
        header={"extents": stated, "plaquette": plaquette},
        checks=[check("payload_size", size - HEADER.size, expected)],
    )
    return meta, extents, plaquette


def refuse_odd(path: Path, extents: tuple[int, ...]) -> None:
    """FormatError unless all extents are even."""
    if any(extent % 2 for extent in extents):
        raise FormatError(f"{path}: openQCD files hold the links of odd sites: expected even "
                          f"extents T,X,Y,Z, found {','.join(map(str, extents))}")


FORMAT = Format(
    name="openqcd",
    title="openQCD (CERN)",
    suffixes=("openqcd", "cern"),
    sniff=sniff,
    read=later(f"{__package__}.openqcd", "read"),
    write=later(f"{__package__}.openqcd", "write"),
    header=header,
    read_options=("slices",),
    write_options=(),
)
