"""Headerless payloads, which only their user can name: KYU, JLQCD and a bare ILDG payload.

kyu:   big-endian float64 [direction][column][row][re,im][t][z][y][x]
jlqcd: big-endian complex128 [direction][t][z][y][x][row][column]
raw:   the natural payload of ILDG files, 32 or 64 bits by its size; big endian unless only the
       little-endian reading of the first link is unitary.
All need the option lattice (X,Y,Z,T).
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from l2hmc_bridge.adapters.payload import blocks
from l2hmc_bridge.adapters.payload.array_layouts import DIRECTION_FIRST
from l2hmc_bridge.adapters.payload.arrays import gather
from l2hmc_bridge.adapters.payload.layout import Payload
from l2hmc_bridge.adapters.payload.move import check_slices, read_payload
from l2hmc_bridge.adapters.payload.quality import examined
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import read_at

from .raw_header import parse

KYU_AXES = ("direction", "column", "row", "z", "y", "x")
UNITARY = 1e-3


def read(
    path: Path,
    kind: str,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    lattice: Sequence[int] | None = None,
) -> Configuration:
    """Links and metadata of a payload of this kind."""
    meta, payload = parse(path, kind, lattice)
    nx, ny, nz, nt = payload.lattice
    if kind == "raw":
        links, _ = read_payload(path, _byte_order(path, payload, meta), (), slices)
    else:
        wanted = check_slices(path, slices, nt)
        if kind == "kyu":
            numbers = np.memmap(path, ">f8", "r", 0, (4, 3, 3, 2, nt, nz, ny, nx))
            links = gather(
                lambda t: numbers[:, :, :, 0, t] + 1j * numbers[:, :, :, 1, t],
                KYU_AXES, payload.lattice, wanted,
            )
        else:
            mapped = np.memmap(path, ">c16", "r", 0, (4, nt, nz, ny, nx, 3, 3))
            links = gather(lambda t: mapped[:, t], DIRECTION_FIRST, payload.lattice, wanted)
    return examined(links, meta, verify)


def _byte_order(path: Path, payload: Payload, meta: dict[str, Any]) -> Payload:
    """Little endian if only so the first link is unitary, else big endian."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        first = np.empty(18 * payload.word, np.uint8)
        read_at(descriptor, 0, first.data)
    finally:
        os.close(descriptor)
    for big in (True, False):
        candidate = replace(payload, big=big)
        with np.errstate(all="ignore"):
            link = first.view(blocks.number_type(candidate)).reshape(3, 3).astype(np.complex128)
            unitary = np.abs(link @ link.conj().T - np.eye(3)).max() < UNITARY
        if unitary:
            if not big:
                meta["warnings"].append("little endian: only so the first link is unitary")
            return candidate
    return payload
