"""NERSC archive files: a text header, then two or three rows of every link.

Where the header does not state the byte order (bare IEEE32 or IEEE64, or none), big and little
endian are tried in this order and the checksum decides: codes disagree about what it means.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format.checks import checksum_check
from l2hmc_bridge.adapters.payload.layout import Payload
from l2hmc_bridge.adapters.payload.move import (
    read_payload,
    stored_links,
    sum_payload,
    write_payload,
)
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import written

from .nersc_header import Header, header_bytes, parse


def read(
    path: Path, verify: bool = True, slices: tuple[int, int] | None = None
) -> Configuration:
    """Links and metadata; meta["checks"] says what was verified. Raises FormatError."""
    meta, parsed, payload, ambiguous = parse(path)
    stored = _stored_checksum(path, parsed)
    if ambiguous and stored is not None:
        payload = _by_evidence(path, payload, stored, meta)
    whole = verify and slices is None
    links, sums = read_payload(path, payload, ("nersc",) if whole else (), slices)
    if whole:
        meta["checks"].append(checksum_check("checksum", sums["nersc"], stored))
        if stored is None:
            meta["warnings"].append("no checksum in the header")
    printed = [
        (name, parsed.keys[key])
        for name, key in (("plaquette", "PLAQUETTE"), ("link_trace", "LINK_TRACE"))
        if key in parsed.keys and whole
    ]
    return examined(links, meta, verify, printed, None if ambiguous else (path, payload))


def write(
    path: Path,
    configuration: Configuration,
    force: bool = False,
    precision: int = 64,
    rows: int = 3,
) -> None:
    """IEEE64BIG 3x3 (or 32 bits, or two rows), with plaquette and trace of the stored links."""
    links = stored_links(configuration.links, precision // 8, rows)
    if rows == 2:  # a reader will rebuild the third row with det U = 1, whatever it was
        writable(path, configuration.links, 64)
    measured = writable(path, links, precision)
    nt, nx, ny, nz = lattice = parts.lattice_of(links)
    payload = Payload(0, (nx, ny, nz, nt), precision // 8, True, rows)

    def head(checksum: int) -> bytes:
        return header_bytes(
            payload, configuration.meta, measured.plaquette, measured.link_trace, checksum
        )

    with written(path, force, lattice) as file:
        # The checksum stands before the data: its eight digits are filled in afterwards.
        payload = replace(payload, offset=len(head(0xFFFFFFFF)))
        checksum = write_payload(file, links, payload, ("nersc",))["nersc"][0]
        file.put(0, _padded(head(checksum), payload.offset))


def _padded(head: bytes, size: int) -> bytes:
    """The header at its full length: a checksum with leading zeros is written with them."""
    missing = size - len(head)
    return head.replace(b"CHECKSUM = ", b"CHECKSUM = " + b"0" * missing, 1)


def _stored_checksum(path: Path, parsed: Header) -> tuple[int] | None:
    text = parsed.keys.get("CHECKSUM")
    if text is None:
        return None
    try:
        value = int(text, 16)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32:
        raise FormatError(f"{path}: CHECKSUM: expected up to 8 hexadecimal digits, found {text!r}")
    return (value,)


def _by_evidence(
    path: Path, payload: Payload, stored: tuple[int], meta: dict[str, Any]
) -> Payload:
    """The payload in the byte order that the stored checksum fits; big endian if neither does."""
    for big in (True, False):
        candidate = replace(payload, big=big)
        if sum_payload(path, candidate, ("nersc",))["nersc"] == stored:
            meta["byte_order"] = "big" if big else "little"
            return candidate
    return payload
