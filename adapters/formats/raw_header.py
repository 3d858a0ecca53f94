"""What is known of headerless payloads: their size, and the lattice that the caller names."""

import functools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import Payload, check_lattice, meaning
from l2hmc_bridge.errors import FormatError


def header(path: Path, kind: str, lattice: Sequence[int] | None = None) -> dict[str, Any]:
    """Metadata without the links."""
    return parse(path, kind, lattice)[0]


def parse(
    path: Path, kind: str, lattice: Sequence[int] | None
) -> tuple[dict[str, Any], Payload]:
    """(metadata, the whole file as a payload)."""
    if lattice is None:
        raise FormatError(f"{path}: expected the lattice of a headerless {kind} file, found none "
                          "(give lattice X,Y,Z,T: --lattice)")
    extents = check_lattice(path, lattice)
    size = os.stat(path).st_size
    payload = Payload(0, extents, 8, True)
    if kind == "raw" and 2 * size == payload.size:
        payload = replace(payload, word=4)
    if size != payload.size:
        raise FormatError(f"{path}: expected {payload.size} bytes for a {kind} file on lattice "
                          f"{'x'.join(map(str, extents))}, found {size}{meaning(extents, size)}")
    meta = metadata.basic(
        path,
        format=kind,
        dialect="headerless",
        precision=8 * payload.word,
        lattice=extents,
        checks=[check("payload_size", size, payload.size)],
    )
    return meta, payload


def _format(kind: str, title: str) -> Format:
    return Format(
        name=kind,
        title=title,
        suffixes=(kind,),
        sniff=lambda _head, _size: False,
        read=later(f"{__package__}.raw", "read", kind=kind),
        write=None,
        header=functools.partial(header, kind=kind),
        read_options=("slices", "lattice"),
    )


KYU = _format("kyu", "KYU (headerless)")
JLQCD = _format("jlqcd", "JLQCD (headerless)")
RAW = _format("raw", "bare ILDG payload (headerless)")
