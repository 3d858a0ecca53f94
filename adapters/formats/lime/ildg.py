"""ILDG and SciDAC files: a LIME container around one binary record, in every dialect known.

QIO (Chroma, MILC, QDP++), Grid, tmLQCD, SIMULATeQCD, BQCD, GPT and payload-only files are read;
written are QIO's record order and, as `scidac`, the same without the ILDG records.
"""

from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check, checksum_check
from l2hmc_bridge.adapters.payload.checksums import posix_cksum
from l2hmc_bridge.adapters.payload.layout import Payload
from l2hmc_bridge.adapters.payload.move import (
    read_payload,
    shared_of,
    stored_links,
    write_payload,
)
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import by_first, written

from . import container, records
from .fields import Lime
from .ildg_header import parse, stored_checksum
from .told import xlf_info


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    lattice: tuple[int, ...] | None = None,
) -> Configuration:
    """Links and metadata; meta["checks"] says what was verified. Raises FormatError.

    lattice (X,Y,Z,T) is needed only if the file does not state it (payload-only files).
    """
    meta, opened, payload = parse(path, lattice)
    whole = verify and slices is None
    links, sums = read_payload(path, payload, ("scidac",) if whole else (), slices)
    if whole:
        _verify_checksums(path, opened, payload, sums["scidac"], meta)
    printed = _printed(opened) if whole else []
    return examined(links, meta, verify, printed, (path, payload))


def write(
    path: Path,
    configuration: Configuration,
    force: bool = False,
    precision: int = 64,
    lfn: str | None = None,
    ildg: bool = True,
) -> None:
    """QIO's record order, with SciDAC checksums and usqcdInfo of the stored links."""
    links = stored_links(configuration.links, precision // 8, 3)
    measured = writable(path, links, precision)
    nt, nx, ny, nz = extents = parts.lattice_of(links)
    payload = Payload(0, (nx, ny, nz, nt), precision // 8, True)
    meta = dict(configuration.meta)
    meta["lfn"] = lfn or meta.get("lfn") or f"lfn://l2hmc-bridge/{path.name}"
    front = records.front(payload, meta, measured, ildg)
    kind = "ildg-binary-data" if ildg else "scidac-binary-data"
    front += container.header_bytes(kind, payload.size, False, False)
    payload = Payload(len(front), payload.lattice, payload.word, True)
    with written(path, force, extents) as file:
        file.put(0, front)
        sums = write_payload(file, links, payload, ("scidac",))["scidac"]
        end = container.record_bytes("scidac-checksum", records.checksum(sums), end=True)
        file.put(payload.offset + payload.size, bytes(-payload.size % 8) + end)


def _printed(opened: Lime) -> list[tuple[str, str]]:
    """What the file prints of plaquette and link trace, as (name, text)."""
    found = []
    for kind in ("scidac-record-xml", "scidac-file-xml"):
        for name, tag in (("plaquette", "plaq"), ("link_trace", "linktr")):
            found += [(name, text) for text in opened.fields(kind).all(tag) if text]
    grid = [(name, opened.tag("grid-format", name)) for name in ("plaquette", "link_trace")]
    if any(text not in (None, "", "0") for _, text in grid):  # "0 0": Grid's unset header
        found += [(name, text) for name, text in grid if text]
    if told := xlf_info(opened).get("plaquette"):
        found.append(("plaquette", told))
    if told := opened.text("bqcd-plaquette"):
        found.append(("plaquette", told.strip()))
    return found


def _verify_checksums(
    path: Path, opened: Lime, payload: Payload, found: tuple[int, ...], meta: dict[str, Any]
) -> None:
    stored = stored_checksum(opened)
    told = (opened.text("bqcd-cksum") or "").split()
    posix = metadata.integer(told[0]) if told else None
    if posix is not None:
        part = shared_of(payload)
        value = by_first(part, lambda: posix_cksum(path, payload.offset, payload.size))
        meta["checks"].append(check("posix_cksum", value, posix))
    if stored is not None or posix is None:
        meta["checks"].append(checksum_check("checksum", found, stored))
    if stored is None and posix is None:
        meta["warnings"].append("no checksum in the file")
