"""ILDG and SciDAC files: a LIME container around one binary record, in every dialect known.

QIO (Chroma, MILC, QDP++), Grid, tmLQCD, SIMULATeQCD, BQCD, GPT and payload-only files are read;
written are QIO's record order and, as `scidac`, the same without the ILDG records.
"""

import functools
from pathlib import Path
from typing import Any

from l2hmc_bridge.atomic import replacing
from l2hmc_bridge.configuration import Configuration

from . import ildg_header, ildg_records, lime, metadata
from .checksums import posix_cksum
from .format import Format
from .lime_fields import Lime, open_lime
from .payload import Payload, read_payload, stored_links, write_payload
from .verify import check, checksum_check, examined, writable

MAGIC = lime.MAGIC.to_bytes(4, "big")


def sniff(head: bytes, _size: int) -> bool:
    return head.startswith(MAGIC)


def header(path: Path, lattice: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Metadata without the links."""
    return _open(path, lattice)[0]


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    lattice: tuple[int, ...] | None = None,
) -> Configuration:
    """Links and metadata; meta["checks"] says what was verified. Raises FormatError.

    lattice (X,Y,Z,T) is needed only where the file does not state it (payload-only files).
    """
    meta, opened, payload = _open(path, lattice)
    whole = verify and slices is None
    links, sums = read_payload(path, payload, ("scidac",) if whole else (), slices)
    if whole:
        _verify_checksums(path, opened, payload, sums["scidac"], meta)
    printed = ildg_header.printed(opened) if whole else []
    return examined(links, meta, verify, printed)


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
    nt, nx, ny, nz = links.shape[2:6]
    payload = Payload(0, (nx, ny, nz, nt), precision // 8, True)
    meta = dict(configuration.meta)
    meta["lfn"] = lfn or meta.get("lfn") or f"lfn://l2hmc-bridge/{path.name}"
    front = ildg_records.front(payload, meta, measured, ildg)
    kind = "ildg-binary-data" if ildg else "scidac-binary-data"
    front += lime.header_bytes(kind, payload.size, False, False)
    payload = Payload(len(front), payload.lattice, payload.word, True)
    with replacing(path, force) as file:
        file.write(front)
        sums = write_payload(file, links, payload, ("scidac",))["scidac"]
        file.write(bytes(-payload.size % 8))
        file.write(lime.record_bytes("scidac-checksum", ildg_records.checksum(sums), end=True))


def _open(path: Path, lattice: tuple[int, ...] | None) -> tuple[dict[str, Any], Lime, Payload]:
    opened = open_lime(path)
    payload = ildg_header.payload_of(opened, lattice)
    info = ildg_header.parameters(opened)
    stored = ildg_header.stored_checksum(opened)
    header = {kind: opened.text(kind) for kind in opened.texts}
    meta = {
        "format": "ildg" if ildg_header.is_ildg(opened) else "scidac",
        "dialect": ildg_header.dialect(opened),
        "precision": 8 * payload.word,
        "lattice": payload.lattice,
        **ildg_header.identity(opened, info, path.name),
        "checksum": None if stored is None else " ".join(f"{word:x}" for word in stored),
        "info": info,
        "header": header,
        "records": [
            {"type": r.kind, "offset": r.offset, "length": r.length, "message": r.message,
             "begin": r.begin, "end": r.end}
            for r in opened.records
        ],
        "checks": [check("payload_size", opened.data.length, payload.size)],
        "warnings": opened.warnings,
    }
    return meta, opened, payload


def _verify_checksums(
    path: Path, opened: Lime, payload: Payload, found: tuple[int, ...], meta: dict[str, Any]
) -> None:
    stored = ildg_header.stored_checksum(opened)
    told = (opened.text("bqcd-cksum") or "").split()
    posix = metadata.integer(told[0]) if told else None
    if posix is not None:
        value = posix_cksum(path, payload.offset, payload.size)
        meta["checks"].append(check("posix_cksum", value, posix))
    if stored is not None or posix is None:
        meta["checks"].append(checksum_check("checksum", found, stored))
    if stored is None and posix is None:
        meta["warnings"].append("no checksum in the file")


FORMAT = Format(
    name="ildg",
    title="ILDG (LIME; reads SciDAC files too)",
    suffixes=("ildg", "lime"),
    sniff=sniff,
    read=read,
    write=write,
    header=header,
    read_options=("slices", "lattice"),
    write_options=("precision", "lfn"),
)
# The bytes do not tell ILDG from SciDAC before the records are read: one sniffer, one reader.
SCIDAC = Format(
    name="scidac",
    title="SciDAC (LIME without the ILDG records)",
    suffixes=("scidac",),
    sniff=lambda _head, _size: False,
    read=read,
    write=functools.partial(write, ildg=False),
    header=header,
    read_options=("slices", "lattice"),
    write_options=("precision",),
)
