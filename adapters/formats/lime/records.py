"""The XML records around an ILDG or SciDAC payload as they are written.

Record order and tags as QIO writes them (include/qioxml_*.h), without its counted trailing NUL.
"""

import time
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.payload.layout import Payload
from l2hmc_bridge.adapters.payload.quality import Measured

from . import container
from .fields import PRIVATE, PRIVATE_FILE

PROLOGUE = '<?xml version="1.0" encoding="UTF-8"?>'
ILDG_TAG = (
    '<ildgFormat xmlns="http://www.lqcd.org/ildg" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.lqcd.org/ildg/filefmt.xsd">'
)
INFO_LIMIT = 1 << 16


def checksum(sums: tuple[int, ...]) -> bytes:
    """The text of a scidac-checksum record."""
    return (
        f"{PROLOGUE}<scidacChecksum><version>1.0</version><suma>{sums[0]:x}</suma>"
        f"<sumb>{sums[1]:x}</sumb></scidacChecksum>"
    ).encode("ascii")


def front(payload: Payload, meta: Mapping[str, Any], measured: Measured, ildg: bool) -> bytes:
    """All records before the binary one, in QIO's order."""
    letter, bits = ("D", 64) if payload.word == 8 else ("F", 32)
    date = escape(
        str(meta.get("date") or time.strftime("%a %b %d %H:%M:%S %Y UTC", time.gmtime()))
    )
    dims = " ".join(map(str, payload.lattice))
    record = (
        f"{PROLOGUE}<scidacRecord><version>1.1</version><date>{date}</date>"
        f"<recordtype>0</recordtype><datatype>USQCD_{letter}3_ColorMatrix</datatype>"
        f"<precision>{letter}</precision><colors>3</colors><typesize>{18 * payload.word}"
        "</typesize><datacount>4</datacount></scidacRecord>"
    )
    usqcd = (
        f"{PROLOGUE}<usqcdInfo><version>1.0</version>"
        f"<plaq>{metadata.fixed(measured.plaquette)}</plaq>"
        f"<linktr>{metadata.fixed(measured.link_trace)}</linktr>"
        f"<info>{escape(_info(meta))}</info></usqcdInfo>"
    )
    records = [
        (PRIVATE_FILE, f"{PROLOGUE}<scidacFile><version>1.1</version><spacetime>4</spacetime>"
                   f"<dims>{dims} </dims><volfmt>0</volfmt></scidacFile>", True, False),
        ("scidac-file-xml", f"{PROLOGUE}<title>l2hmc-bridge gauge configuration</title>",
         False, True),
        (PRIVATE, record, True, False),
        ("scidac-record-xml", usqcd, False, False),
    ]
    if ildg:
        extents = "".join(
            f"<l{axis}>{extent}</l{axis}>"
            for axis, extent in zip("xyzt", payload.lattice, strict=True)
        )
        form = (f"{PROLOGUE}{ILDG_TAG}<version>1.0</version><field>su3gauge</field>"
                f"<precision>{bits}</precision>{extents}</ildgFormat>")
        records += [("ildg-format", form, False, False),
                    ("ildg-data-lfn", str(meta["lfn"]), False, False)]
    return b"".join(
        container.record_bytes(kind, text.encode(), begin, end)
        for kind, text, begin, end in records
    )


def _info(meta: Mapping[str, Any]) -> str:
    """The carried metadata and lasting parameters, one `key = value` a line."""
    kept = [key for key in metadata.CARRIED if key != "lfn" and meta.get(key) is not None]
    told = {key: meta[key] for key in kept}
    told |= metadata.lasting(meta.get("info") or {})
    lines = [f"{key} = {' '.join(str(value).split())}" for key, value in told.items()]
    text = "\n".join(lines)[:INFO_LIMIT]
    return "".join(c for c in text if c == "\n" or c.isprintable())
