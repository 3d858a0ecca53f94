"""MILC's own files: version 5 (read and written) and version 1-4 (read); see milc_header."""

import struct
import time
from pathlib import Path

from l2hmc_bridge.adapters.format.checks import checksum_check
from l2hmc_bridge.adapters.payload.layout import Payload
from l2hmc_bridge.adapters.payload.move import read_payload, stored_links, write_payload
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import written

from .milc_header import MAGIC, parse


def read(
    path: Path, verify: bool = True, slices: tuple[int, int] | None = None
) -> Configuration:
    """Links and metadata; parameters come from `<path>.info` where MILC left one."""
    meta, payload, stored = parse(path)
    whole = verify and slices is None and meta["dialect"] == "v5"
    links, sums = read_payload(path, payload, ("milc",) if whole else (), slices)
    if whole:
        meta["checks"].append(checksum_check("checksum", sums["milc"], stored))
        if stored is None:
            meta["warnings"].append("no checksum in the header (both sums are 0)")
    return examined(links, meta, verify, (), (path, payload))


def write(path: Path, configuration: Configuration, force: bool = False) -> None:
    """Version 5, little endian, single precision."""
    links = stored_links(configuration.links, 4, 3)
    writable(path, links, 32)
    nt, nx, ny, nz = lattice = parts.lattice_of(links)
    payload = Payload(96, (nx, ny, nz, nt), 4, False)
    date = configuration.meta.get("date") or time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())
    stamp = str(date).encode("ascii", "replace")[:64]
    with written(path, force, lattice) as file:
        sums = write_payload(file, links, payload, ("milc",))["milc"]
        file.put(0, struct.pack("<5i64s3I", MAGIC, *payload.lattice, stamp, 0, *sums))
