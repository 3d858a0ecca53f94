"""What the XML and text records around an ILDG or SciDAC payload say, in every dialect."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import Payload, check_lattice, meaning
from l2hmc_bridge.errors import FormatError

from . import container
from .fields import PRIVATE, PRIVATE_FILE, Lime, open_lime
from .told import identity, parameters

QUARK_FIELDS = {"Propagator": "propagator", "Fermion": "fermion field",
                "ColorVector": "color vector"}
QUARK_FIELD = re.compile(f"({'|'.join(QUARK_FIELDS)})")
MAGIC = container.MAGIC.to_bytes(4, "big")


def sniff(head: bytes, _size: int) -> bool:
    return head.startswith(MAGIC)


def header(path: Path, lattice: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Metadata without the links."""
    return parse(path, lattice)[0]


def parse(path: Path, lattice: tuple[int, ...] | None) -> tuple[dict[str, Any], Lime, Payload]:
    """(metadata, the LIME file, where the links lie in it)."""
    opened = open_lime(path)
    payload = payload_of(opened, lattice)
    info = parameters(opened)
    stored = stored_checksum(opened)
    header = {kind: opened.text(kind) for kind in opened.texts}
    meta = {
        "format": "ildg" if is_ildg(opened) else "scidac",
        "dialect": dialect(opened),
        "precision": 8 * payload.word,
        "lattice": payload.lattice,
        **identity(opened, info, path.name, payload.lattice),
        "checksum": None if stored is None else " ".join(f"{word:x}" for word in stored),
        "info": metadata.others(info),
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


def payload_of(opened: Lime, lattice: Sequence[int] | None) -> Payload:
    """Where the links lie and how: from ildg-format, SciDAC or Grid records, or `lattice`."""
    path, length = opened.path, opened.data.length
    _refuse_other_fields(opened)
    extents = _lattice(opened, lattice)
    told = (_integer(opened, "ildg-format", "precision"),
            {"F": 32, "D": 64}.get(opened.tag(PRIVATE, "precision") or ""))
    words = {word for word in told if word is not None}
    if not words:
        words = {32 if length == Payload(0, extents, 4, True).size else 64}
    if len(words) != 1 or not words <= {32, 64}:
        raise FormatError(f"{path}: precision: expected 32 or 64, found {sorted(words)}")
    payload = Payload(opened.data.offset, extents, words.pop() // 8, True)
    if payload.size != length:
        raise FormatError(f"{path}: payload: expected {payload.size} bytes for SU(3) on lattice "
                          f"{'x'.join(map(str, extents))} in {8 * payload.word} bits, found "
                          f"{length}{meaning(extents, length)}")
    return payload


def _refuse_other_fields(opened: Lime) -> None:
    """FormatError if a record says that this is not one SU(3) gauge field in one file."""
    datatype = opened.tag(PRIVATE, "datatype") or ""
    if match := QUARK_FIELD.search(datatype):
        raise FormatError(f"{opened.path}: holds a {QUARK_FIELDS[match[1]]} ({PRIVATE} <datatype> "
                          f"{datatype[:60]}), expected a gauge field")
    expected = (
        ("ildg-format", "field", {"su3gauge"}),
        (PRIVATE_FILE, "spacetime", {"4"}),
        (PRIVATE_FILE, "volfmt", {"0"}),
        (PRIVATE, "recordtype", {"0"}),
        (PRIVATE, "globaldata", {"0"}),
        (PRIVATE, "colors", {"3"}),
        (PRIVATE, "datacount", {"4"}),
        (PRIVATE, "typesize", {"72", "144"}),
    )
    for kind, name, allowed in expected:
        found = opened.tag(kind, name)
        if found is not None and found not in allowed:
            group = f" (holds SU({found[:9]}))" if name == "colors" else ""
            raise FormatError(f"{opened.path}: {kind} <{name}>: expected "
                              f"{' or '.join(sorted(allowed))}, found {found[:40]!r}{group}")


def _lattice(opened: Lime, given: Sequence[int] | None) -> tuple[int, int, int, int]:
    stated = {}
    extents = [_integer(opened, "ildg-format", name) for name in ("lx", "ly", "lz", "lt")]
    if any(extent is not None for extent in extents):
        stated["ildg-format"] = extents
    dims = opened.tag(PRIVATE_FILE, "dims")
    if dims is not None:
        stated[PRIVATE_FILE] = [metadata.integer(word) for word in dims.split()]
    if "grid-format" in opened.texts:
        grid = opened.fields("grid-format")
        elements = grid.all("elem")[: metadata.integer(opened.tag("grid-format", "nd") or 4)]
        stated["grid-format"] = [metadata.integer(word) for word in elements]
    if given is not None:
        stated["the option lattice"] = list(given)
    if not stated:
        raise FormatError(f"{opened.path}: expected the lattice in an ildg-format record, found "
                          "none (give lattice X,Y,Z,T: --lattice)")
    known = {}
    for source, found in stated.items():
        known[source] = [extent for extent in found if extent is not None]
        if len(known[source]) != len(found):
            raise FormatError(f"{opened.path}: {source}: expected four integer extents, found "
                              f"{found}")
    if len(set(map(tuple, known.values()))) > 1:
        told = ", ".join(f"{source} {found}" for source, found in known.items())
        raise FormatError(f"{opened.path}: lattice: expected one, found {told}")
    return check_lattice(opened.path, next(iter(known.values())))


def _integer(opened: Lime, kind: str, name: str) -> int | None:
    text = opened.tag(kind, name)
    if text is None:
        return None
    value = metadata.integer(text)
    if value is None:
        raise FormatError(f"{opened.path}: {kind} <{name}>: expected an integer, found "
                          f"{text[:40]!r}")
    return value


def is_ildg(opened: Lime) -> bool:
    """Whether the file has an ildg-format record, or nothing but an ILDG payload."""
    return "ildg-format" in opened.texts or not {PRIVATE_FILE, PRIVATE, "grid-format"} & set(
        opened.texts
    )


def dialect(opened: Lime) -> str:
    """The code family whose record order this is."""
    kinds = {record.kind for record in opened.records}
    for name, marks in (
        ("lyncs", {"lyncs-io-info"}),
        ("Grid", {"grid-format", "FieldNormMetaData"}),
        ("BQCD", {"bqcd-plaquette", "bqcd-cksum"}),
        ("nissa", {"MD_traj", "InputPars"}),
        ("tmLQCD", {"xlf-info"}),
        ("GPT", {"gpt-format"}),
        ("QIO", {PRIVATE_FILE}),
    ):
        if kinds & marks:
            return name
    if len(opened.records) == 1:
        return "payload only"
    own = [record.message for record in opened.records]
    return "SIMULATeQCD" if len(set(own)) == len(own) else "LIME"


def stored_checksum(opened: Lime) -> tuple[int, int] | None:
    """(suma, sumb); a missing one of the two is 0 (QIO omits zeros); None if both are."""
    if "scidac-checksum" not in opened.texts:
        return None
    texts = [opened.tag("scidac-checksum", name) for name in ("suma", "sumb")]
    if texts == [None, None]:
        return None
    try:
        first, second = (int(text or "0", 16) for text in texts)
    except ValueError:
        first = second = -1
    if not (0 <= first < 1 << 32 and 0 <= second < 1 << 32):
        raise FormatError(f"{opened.path}: scidac-checksum: expected two hexadecimal numbers of up "
                          f"to 8 digits, found {texts}")
    return first, second


FORMAT = Format(
    name="ildg",
    title="ILDG (LIME; reads SciDAC files too)",
    suffixes=("ildg", "lime"),
    sniff=sniff,
    read=later(f"{__package__}.ildg", "read"),
    write=later(f"{__package__}.ildg", "write"),
    header=header,
    read_options=("slices", "lattice"),
    write_options=("precision", "lfn"),
    by_parts=True,
)
# The bytes do not tell ILDG from SciDAC before the records are read: one sniffer, one reader.
SCIDAC = Format(
    name="scidac",
    title="SciDAC (LIME without the ILDG records)",
    suffixes=("scidac",),
    sniff=lambda _head, _size: False,
    read=later(f"{__package__}.ildg", "read"),
    write=later(f"{__package__}.ildg", "write", ildg=False),
    header=header,
    read_options=("slices", "lattice"),
    write_options=("precision",),
    by_parts=True,
)
