"""The text header of a NERSC archive file, in every dialect, both ways."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import Payload, check_lattice, meaning
from l2hmc_bridge.errors import FormatError

BEGIN, END = b"BEGIN_HEADER", b"END_HEADER"
LARGEST = 1 << 20
STANDARD = {
    "HDR_VERSION", "DATATYPE", "STORAGE_FORMAT", "LINK_TRACE", "PLAQUETTE", "CHECKSUM",
    "ENSEMBLE_ID", "ENSEMBLE_LABEL", "SEQUENCE_NUMBER", "CREATOR", "CREATOR_HARDWARE",
    "CREATION_DATE", "ARCHIVE_DATE", "FLOATING_POINT", "SCIDAC_CHECKSUMA", "SCIDAC_CHECKSUMB",
    "MILC_INFO", *(f"DIMENSION_{i}" for i in range(1, 6)), *(f"BOUNDARY_{i}" for i in range(1, 5)),
}
ESSENTIAL = STANDARD - {"MILC_INFO", "CREATION_DATE", "ARCHIVE_DATE", "CREATOR"}
# What is written where nothing is known: empty values trouble some readers.
UNKNOWN = {"ENSEMBLE_ID": "l2hmc-bridge", "ENSEMBLE_LABEL": "none"}
# Word size and byte order (True: big); None if the header does not say and the checksum must.
FLOATING = {
    "IEEE32BIG": (4, True), "IEEE64BIG": (8, True),
    "IEEE32LITTLE": (4, False), "IEEE64LITTLE": (8, False),
    "IEEE32": (4, None), "IEEE64": (8, None),
}


@dataclass(frozen=True)
class Header:
    """Keys as they stand, free MILC and other parameters, and where the payload begins."""

    keys: Mapping[str, str]
    info: Mapping[str, str]
    offset: int
    text: str


def sniff(head: bytes, _size: int) -> bool:
    return head.startswith(BEGIN)


def header(path: Path) -> dict[str, Any]:
    """Metadata without the links."""
    return parse(path)[0]


def read_header(path: Path) -> Header:
    """Parse up to END_HEADER; FormatError if it is missing, not text, or contradicts itself."""
    with open(path, "rb") as file:
        head = file.read(LARGEST)
    match = re.search(rb"\n[ \t]*END_HEADER[ \t]*\r?\n", head)
    if not head.startswith(BEGIN) or match is None:
        raise FormatError(f"{path}: expected a NERSC header from BEGIN_HEADER to END_HEADER, "
                          f"found no end within {len(head)} bytes")
    text = head[: match.start()].decode("latin-1")
    keys: dict[str, str] = {}
    info: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        key, separator, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not separator:
            continue
        if key in STANDARD:
            if key in ESSENTIAL and keys.setdefault(key, value) != value:
                raise FormatError(f"{path}: header key {key}: expected one value, found "
                                  f"{keys[key]!r} and {value!r}")
            keys.setdefault(key, value)
        elif key:
            info.setdefault(key, value.strip('"'))
    return Header(keys, info, match.end(), text)


def layout_of(path: Path, header: Header, size: int) -> tuple[Payload, bool | None, list[str]]:
    """(payload, byte order or None if not stated, warnings) of a file of this size."""
    keys, warnings = header.keys, []
    lattice = check_lattice(path, [_extent(path, keys, i) for i in range(1, 5)])
    if metadata.integer(keys.get("DIMENSION_5", "1")) != 1:
        raise FormatError(f"{path}: expected 4 dimensions, found DIMENSION_5 = "
                          f"{keys['DIMENSION_5']}")
    rows = _rows(path, keys.get("DATATYPE", ""))
    stated = keys.get("FLOATING_POINT")
    found = size - header.offset
    if stated:
        if stated.upper() not in FLOATING:
            raise FormatError(f"{path}: FLOATING_POINT: expected one of {', '.join(FLOATING)}, "
                              f"found {stated!r}")
        word, big = FLOATING[stated.upper()]
    else:
        single = Payload(header.offset, lattice, 4, True, rows).size
        word, big = (8 if found == 2 * single else 4), None
    payload = Payload(header.offset, lattice, word, big is not False, rows)
    if found != payload.size:
        raise FormatError(f"{path}: payload: expected {payload.size} bytes for lattice "
                          f"{'x'.join(map(str, lattice))}, {rows} rows, {8 * word} bits, found "
                          f"{found}{_why(payload, found)}")
    if big is None:
        warnings.append(f"byte order not stated (FLOATING_POINT {stated or 'absent'}): "
                        "the checksum decides")
    return payload, big, warnings


def _why(payload: Payload, found: int) -> str:
    """Another group, or a file that was cut short or added to."""
    told = meaning(payload.lattice, found)
    return told if "holds" in told else (
        f" ({'truncated' if found < payload.size else 'over-long'} file)")


def _extent(path: Path, keys: Mapping[str, str], number: int) -> int:
    text = keys.get(f"DIMENSION_{number}")
    value = metadata.integer(text)
    if value is None:
        raise FormatError(f"{path}: DIMENSION_{number}: expected an integer, found {text!r}")
    return value


def _rows(path: Path, datatype: str) -> int:
    match = re.fullmatch(r"4D_SU3_GAUGE(_3x3)?", datatype)
    if match is None:
        other = re.fullmatch(r"4D_SU(\d)_GAUGE.*", datatype)
        told = f" (holds SU({other[1]}))" if other and other[1] != "3" else ""
        raise FormatError(f"{path}: DATATYPE: expected 4D_SU3_GAUGE or 4D_SU3_GAUGE_3x3, found "
                          f"{datatype!r}{told}")
    return 3 if match.group(1) else 2


def header_bytes(
    payload: Payload, meta: Mapping[str, Any], plaquette: float, link_trace: float, checksum: int
) -> bytes:
    """A header that Grid, GPT, PyQUDA, QDP++, MILC and SIMULATeQCD all accept."""
    now = meta.get("date") or time.strftime("%a %b %d %H:%M:%S %Y UTC", time.gmtime())
    rows = [
        ("HDR_VERSION", "1.0"),
        ("DATATYPE", "4D_SU3_GAUGE_3x3" if payload.rows == 3 else "4D_SU3_GAUGE"),
        ("STORAGE_FORMAT", "1.0"),
        *((f"DIMENSION_{i}", str(extent)) for i, extent in enumerate(payload.lattice, 1)),
        ("LINK_TRACE", metadata.fixed(link_trace)),
        ("PLAQUETTE", metadata.fixed(plaquette)),
        *((f"BOUNDARY_{i}", "PERIODIC") for i in range(1, 5)),
        ("CHECKSUM", f"{checksum:x}"),
        ("ENSEMBLE_ID", meta.get("ensemble_id") or UNKNOWN["ENSEMBLE_ID"]),
        ("ENSEMBLE_LABEL", meta.get("ensemble_label") or UNKNOWN["ENSEMBLE_LABEL"]),
        ("SEQUENCE_NUMBER", str(max(1, meta.get("trajectory") or 0))),
        ("CREATOR", "l2hmc-bridge"),
        ("CREATOR_HARDWARE", "any"),
        ("CREATION_DATE", now),
        ("ARCHIVE_DATE", now),
        ("FLOATING_POINT", f"IEEE{8 * payload.word}BIG"),
    ]
    rows.append(("TRAJECTORY", str(meta.get("trajectory"))))
    for key in ("beta", "lfn", *metadata.OWN):
        if meta.get(key) is not None:
            rows.append((key.upper(), str(meta[key])))
    rows += metadata.lasting(meta.get("info") or {}).items()
    lines = [f"{_value(key)} = {_value(value)}"[:120] for key, value in rows]
    return "\n".join([BEGIN.decode(), *lines, END.decode(), ""]).encode("ascii")


def _value(text: str) -> str:
    """ASCII, one line, no "=" and no END_HEADER, so that every reader's split works."""
    text = str(text).encode("ascii", "replace").decode("ascii")
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text).replace("=", ":")
    return text.replace("_HEADER", " HEADER").strip() or "none"


def parse(path: Path) -> tuple[dict[str, Any], Header, Payload, bool]:
    """(metadata, header, payload, whether the byte order is open)."""
    parsed = read_header(path)
    payload, big, warnings = layout_of(path, parsed, os.stat(path).st_size)
    keys = parsed.keys
    meta = {
        "format": "nersc",
        "dialect": _dialect(parsed),
        "precision": 8 * payload.word,
        "rows": payload.rows,
        "byte_order": None if big is None else ("big" if big else "little"),
        "lattice": payload.lattice,
        "beta": metadata.beta_of(parsed.info),
        "trajectory": _trajectory(path.name, parsed, payload.lattice),
        "lfn": parsed.info.get("LFN"),
        "ensemble_id": _told(keys, "ENSEMBLE_ID"),
        "ensemble_label": _told(keys, "ENSEMBLE_LABEL"),
        "checksum": keys.get("CHECKSUM"),
        "info": metadata.others(parsed.info),
        "header": {**keys, **parsed.info},
        "checks": [check("payload_size", payload.size, payload.size)],
        "warnings": warnings,
        **metadata.own(parsed.info),
    }
    return meta, parsed, payload, big is None


def _told(keys: Mapping[str, str], name: str) -> str | None:
    """A key's text, None if it is empty or only what our own writer puts for "not known"."""
    return None if keys.get(name) in (None, "", UNKNOWN[name]) else keys[name]


def _trajectory(name: str, parsed: Header, lattice: Sequence[int]) -> int | None:
    """Our own key, else SEQUENCE_NUMBER, else the file name; 0 means unset to most writers."""
    if "TRAJECTORY" in parsed.info:
        told = metadata.integer(parsed.info["TRAJECTORY"])
        return metadata.trajectory_of(name, lattice=lattice) if told is None else told
    sequence = metadata.integer(parsed.keys.get("SEQUENCE_NUMBER", ""))
    return sequence or metadata.trajectory_of(name, lattice=lattice) or sequence


def _dialect(parsed: Header) -> str:
    keys, creator = parsed.keys, parsed.keys.get("CREATOR", "")
    if "MILC_INFO" in keys:
        return "MILC"
    if creator == "l2hmc-bridge":
        return creator
    if "SCIDAC_CHECKSUMA" in keys:
        little = keys.get("FLOATING_POINT", "").endswith("LITTLE")
        return "PyQUDA" if little else "Grid/GPT"
    return "NERSC"


FORMAT = Format(
    name="nersc",
    title="NERSC archive",
    suffixes=("nersc",),
    sniff=sniff,
    read=later(f"{__package__}.nersc", "read"),
    write=later(f"{__package__}.nersc", "write"),
    header=header,
    read_options=("slices",),
    write_options=("precision", "rows"),
    by_parts=True,
)
