"""The header of HiRep's configurations: N, T,X,Y,Z and the plaquette, 28 bytes; see hirep."""

import os
import struct
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import Payload, check_lattice, meaning
from l2hmc_bridge.errors import FormatError

HEADER = struct.Struct(">5id")


def sniff(head: bytes, size: int) -> bool:
    """There is no magic: three colours, and extents that explain the file's size exactly."""
    if len(head) < HEADER.size:
        return False
    colours, nt, *space, _ = HEADER.unpack(head[:HEADER.size])
    nx, ny, nz = space
    return colours == 3 and min(nt, *space) > 0 and (
        size == HEADER.size + Payload(HEADER.size, (nx, ny, nz, nt), 8, True).size)


def header(path: Path) -> dict[str, Any]:
    """Metadata without the links."""
    return parse(path)[0]


def parse(path: Path) -> tuple[dict[str, Any], float]:
    """(metadata, stored plaquette)."""
    size = os.stat(path).st_size - HEADER.size
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        raise FormatError(f"{path}: expected a 28-byte HiRep header, found {len(head)} bytes")
    colours, nt, nx, ny, nz, plaquette = HEADER.unpack(head)
    if colours != 3:
        raise FormatError(f"{path}: expected a configuration of HiRep for 3 colours, found "
                          f"{colours}")
    lattice = check_lattice(path, (nx, ny, nz, nt))
    expected = Payload(HEADER.size, lattice, 8, True).size
    if size != expected:
        raise FormatError(f"{path}: payload: expected {expected} bytes for T,X,Y,Z = "
                          f"{nt},{nx},{ny},{nz}, found {size}{meaning(lattice, size)}")
    meta = metadata.basic(
        path,
        format="hirep",
        dialect="HiRep",
        precision=64,
        lattice=lattice,
        byte_order="big",
        header={"colours": colours, "extents": [nt, nx, ny, nz], "plaquette": plaquette},
        checks=[check("payload_size", size, expected)],
    )
    return meta, plaquette


FORMAT = Format(
    name="hirep",
    title="HiRep, three colours",
    suffixes=("hirep",),
    sniff=sniff,
    read=later(f"{__package__}.hirep", "read"),
    write=later(f"{__package__}.hirep", "write"),
    header=header,
    read_options=("slices",),
    write_options=(),
)
