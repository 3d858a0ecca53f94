"""The header of MILC's own files: version 5 and version 1-4, both byte orders.

v5: 96-byte header (magic 20103, x,y,z,t, 64-byte time stamp, site order, sum29, sum31), then
single-precision 3x3 links in natural order, all in the byte order of the writer, known by the magic
(MILC include/file_types.h, generic/io_lat_utils.c). v1-4: magic 59354, x,y,z,t, float32 beta and
mass, links from byte 28, no checksum.
"""

import math
import os
import re
import struct
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import Payload, check_lattice, meaning
from l2hmc_bridge.errors import FormatError

MAGIC, OLD_MAGIC = 20103, 59354
LARGEST_INFO = 1 << 20


def sniff(head: bytes, _size: int) -> bool:
    return len(head) >= 28 and _byte_order(head) is not None


def header(path: Path) -> dict[str, Any]:
    """Metadata without the links."""
    return parse(path)[0]


def _byte_order(head: bytes) -> str | None:
    for order in "<>":
        if struct.unpack(f"{order}i", head[:4])[0] in (MAGIC, OLD_MAGIC):
            return order
    return None


def parse(path: Path) -> tuple[dict[str, Any], Payload, tuple[int, int] | None]:
    """(metadata, where the links lie, stored sums)."""
    with open(path, "rb") as file:
        head = file.read(96)
    order = _byte_order(head) if len(head) >= 28 else None
    if order is None:
        raise FormatError(f"{path}: expected the MILC magic {MAGIC} or {OLD_MAGIC}, found "
                          f"{head[:4].hex()}")
    magic, *lattice = struct.unpack(f"{order}5i", head[:20])
    new = magic == MAGIC
    if new and len(head) < 96:
        raise FormatError(f"{path}: expected a 96-byte MILC header, found {len(head)} bytes")
    payload = Payload(96 if new else 28, check_lattice(path, lattice), 4, order == ">")
    size = os.stat(path).st_size - payload.offset
    if size != payload.size:
        raise FormatError(f"{path}: payload: expected {payload.size} bytes for lattice "
                          f"{'x'.join(map(str, lattice))}, found {size}"
                          f"{meaning(payload.lattice, size)}")
    stored = _sums(path, head, order) if new else None
    info = _information(path)
    found = {} if new else _old_parameters(head, order)
    meta = metadata.basic(
        path,
        format="milc",
        dialect="v5" if new else "v1-4",
        precision=32,
        lattice=payload.lattice,
        byte_order="big" if order == ">" else "little",
        beta=found.get("beta", metadata.beta_of(info)),
        checksum=None if stored is None else " ".join(f"{word:08x}" for word in stored),
        info=info,
        header=found,
        checks=[check("payload_size", size, payload.size)],
    )
    if new:
        meta["header"]["time_stamp"] = head[20:84].split(b"\0")[0].decode("latin-1").strip()
    return meta, payload, stored


def _sums(path: Path, head: bytes, order: str) -> tuple[int, int] | None:
    """The stored sums; 0 and 0 (Chroma's) are none at all."""
    site_order, sum29, sum31 = struct.unpack(f"{order}3I", head[84:96])
    if site_order != 0:
        raise FormatError(f"{path}: site order: expected 0 (natural), found {site_order}")
    return (sum29, sum31) if sum29 or sum31 else None


def _old_parameters(head: bytes, order: str) -> dict[str, float]:
    """beta and mass as the seven digits of a float32 allow."""
    values = struct.unpack(f"{order}2f", head[20:28])
    named = zip(("beta", "mass"), values, strict=True)
    return {name: float(f"{value:.7g}") for name, value in named if math.isfinite(value)}


def _information(path: Path) -> dict[str, str]:
    """Parameters of the text file that MILC writes beside a configuration."""
    beside = path.with_name(path.name + ".info")
    if not beside.is_file():
        return {}
    with open(beside, "rb") as file:
        text = file.read(LARGEST_INFO).decode("latin-1")
    # Until about 2000 a blank stood in the place of " = ".
    return metadata.parameters(re.sub(r"(?m)^([a-z][\w.]*(?:\[\d+\])?)[ \t]+(?!=)", r"\1 = ", text))


FORMAT = Format(
    name="milc",
    title="MILC version 5 (reads 1-4 too)",
    suffixes=("milc",),
    sniff=sniff,
    read=later(f"{__package__}.milc", "read"),
    write=later(f"{__package__}.milc", "write"),
    header=header,
    read_options=("slices",),
    write_options=(),
    by_parts=True,
)
