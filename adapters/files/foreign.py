"""Files that people have beside gauge configurations, known by how they begin: named, not read."""

import math
import struct

from l2hmc_bridge.adapters.formats.hirep_header import HEADER

# MILC include/file_types.h, int32 in either byte order.
MAGICS = {
    12781: "a Wilson propagator of MILC", 48291: "a Wilson propagator of MILC (1996)",
    23209: "a staggered propagator of MILC", 230201: "a staggered propagator of MILC (2001)",
    53546: "a configuration of MILC of 1996, which is not read here",
}
FERMILAB = 0x71626434
BEGINNINGS = {
    b"version https://git-lfs": "a pointer of Git LFS in the place of the file (git lfs pull)",
    b"\x1f\x8b": "a file compressed by gzip", b"BZh": "a file compressed by bzip2",
    b"\xfd7zXZ": "a file compressed by xz", b"\x28\xb5\x2f\xfd": "a file compressed by zstd",
    b"PK\x03\x04": "a ZIP archive", b"BEGIN_FIELD_HEADER": "a field of Qlattice",
    b"HDF5-based Julia Data": "a JLD2 file of Julia", b"<?xml": "XML: a log, no configuration",
}


def foreign(head: bytes, size: int) -> str | None:
    """What a file with this beginning and size is, None if nobody here knows."""
    for start, name in BEGINNINGS.items():
        if head.startswith(start):
            return name
    if len(head) < 32:
        return None
    for order in "<>":
        magic, _, _, elements = struct.unpack(f"{order}4I", head[:16])
        if magic in MAGICS:
            return MAGICS[magic]
        if magic == FERMILAB:
            what = "configuration" if elements == 72 else "propagator or vector"
            return f"a {what} in Fermilab's format ({elements} numbers a site)"
    return _hirep(head, size)


def _hirep(head: bytes, size: int) -> str | None:
    """HiRep: int32 N, T, X, Y, Z and a float64, big endian, then N x N complex or N x N real.

    With a four-fermion term two scalars follow the links of each site.
    """
    colours, *extents, _ = HEADER.unpack(head[:HEADER.size])
    if not 2 <= colours <= 16 or not all(0 < extent < 1 << 16 for extent in extents):
        return None
    sites = math.prod(extents)
    numbers, size = 4 * sites * colours**2 * 8, size - HEADER.size
    if size in (numbers, 2 * numbers):
        return f"a configuration of HiRep for {colours} colours, which is not read here"
    if size == 2 * numbers + 16 * sites:
        return "a configuration of HiRep with the scalars of a four-fermion term"
    return None
