"""The block of numbers inside a file: where it starts, how it is laid out, and its two ways.

The natural layout of NERSC, ILDG, SciDAC and MILC, slowest first: t, z, y, x, direction (x,y,z,t),
row, column, (re, im). It is moved in blocks, so memory stays near one field.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Part
from l2hmc_bridge.fields.slabs import SharedFile, read_at, write_at

from . import blocks, checksums
from .layout import Block, Payload
from .own_sites import read_own, sum_own, write_own

UNITARY = 1e-3  # what no link read in a wrong byte order comes near to


def check_slices(path: Path, slices: tuple[int, int] | None, nt: int) -> tuple[int, int]:
    """The half-open range of time slices to read; None is all. Raises FormatError."""
    if slices is None:
        return 0, nt
    first, last = slices
    if not 0 <= first < last <= nt:
        raise FormatError(f"{path}: expected time slices 0 <= a < b <= {nt}, found {slices}")
    return first, last


def read_payload(
    path: Path, payload: Payload, sums: Sequence[str] = (), slices: tuple[int, int] | None = None
) -> tuple[Tensor, dict[str, tuple[int, ...]]]:
    """Links [1,4,Nt,Nx,Ny,Nz,3,3] and the named checksums of the payload as it lies in the file.

    Of a lattice that several processes share each reads its own sites, and the sums are of all.
    With `slices` (a, b) only the time slices a..b-1 are read, and the sums are of those alone.
    """
    nx, ny, nz, nt = payload.lattice
    part = shared_of(payload)
    if part is not None and slices is None:
        return read_own(path, payload, sums, part)
    first, last = check_slices(path, slices, nt)
    out = np.empty((4, last - first, nx, ny, nz, 3, 3), np.complex128)

    def place(raw: NDArray[np.uint8], block: Block) -> None:
        blocks.decode(raw, payload, block, out)

    found = _pass_over(path, payload, sums, (first, last), place)
    return torch.from_numpy(out)[None], found


def sum_payload(path: Path, payload: Payload, sums: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The named checksums alone."""
    part = shared_of(payload)
    if part is not None:
        return sum_own(path, payload, sums, part)
    return _pass_over(path, payload, sums, (0, payload.lattice[3]), lambda _raw, _block: None)


def _pass_over(
    path: Path,
    payload: Payload,
    sums: Sequence[str],
    slices: tuple[int, int],
    place: Callable[[NDArray[np.uint8], Block], None],
) -> dict[str, tuple[int, ...]]:
    """Read block after block, sum it up, then hand it to `place`."""

    def move(block: Block, buffer: NDArray[np.uint8]) -> list[tuple[int, ...]]:
        site, size = payload.extent(block)
        raw = buffer[:size]
        read_at(descriptor, payload.offset + site * payload.site_bytes, raw.data)
        partial = checksums.block_sums(raw, site, payload, sums)
        place(raw, block)
        return partial

    parts = blocks.blocks_of(payload, *slices)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        partials = blocks.in_threads(move, parts, max(payload.extent(part)[1] for part in parts))
    finally:
        os.close(descriptor)
    return checksums.combine(sums, partials)


def other_byte_order(path: Path, payload: Payload) -> bool:
    """Whether the first links are unitary in the other byte order, and not in the payload's."""
    descriptor = os.open(path, os.O_RDONLY)
    raw = np.empty(payload.site_bytes, np.uint8)
    try:
        read_at(descriptor, payload.offset, raw.data)
    finally:
        os.close(descriptor)

    def unitary(big: bool) -> bool:
        stored = raw.view(blocks.number_type(replace(payload, big=big)))
        with np.errstate(all="ignore"):  # what the wrong order makes of the bytes is any number
            rows = stored.astype(np.complex128).reshape(4, payload.rows, 3)
            defect = np.abs(rows @ rows.conj().transpose(0, 2, 1) - np.eye(payload.rows)).max()
        return bool(defect < UNITARY)

    return unitary(not payload.big) and not unitary(payload.big)


def shared_of(payload: Payload) -> Part | None:
    """The part of this lattice that this process holds, if others hold the rest."""
    nx, ny, nz, nt = payload.lattice
    return parts.shared((nt, nx, ny, nz))


def write_payload(
    file: SharedFile, links: Tensor, payload: Payload, sums: Sequence[str] = ()
) -> dict[str, tuple[int, ...]]:
    """Write links [1,4,Nt,Nx,Ny,Nz,3,3] at payload.offset; returns the checksums of the bytes."""
    if file.part is not None:
        return write_own(file, links, payload, sums, file.part)
    array = links_array(links)
    descriptor = file.descriptor

    def move(block: Block, buffer: NDArray[np.uint8]) -> list[tuple[int, ...]]:
        site, size = payload.extent(block)
        raw = buffer[:size]
        blocks.encode(array, payload, block, raw)
        partial = checksums.block_sums(raw, site, payload, sums)
        write_at(descriptor, payload.offset + site * payload.site_bytes, raw.data)
        return partial

    parts = blocks.blocks_of(payload, 0, payload.lattice[3])
    with blocks.flushing(descriptor, payload.size):
        partials = blocks.in_threads(move, parts, max(payload.extent(part)[1] for part in parts))
    return checksums.combine(sums, partials)


def links_array(links: Tensor) -> NDArray[np.complex128]:
    """[4,Nt,Nx,Ny,Nz,3,3] contiguous complex128 on the host, of links with Nb = 1."""
    return np.ascontiguousarray(links.detach().cpu().numpy()[0], dtype=np.complex128)


def stored_links(links: Tensor, word: int, rows: int) -> Tensor:
    """The links as a reader of a file with this word size and these rows will see them."""
    if word == 8 and rows == 3:
        return links
    stored = links.to(torch.complex64).to(torch.complex128) if word == 4 else links.clone()
    if rows == 2:
        stored[..., 2, :] = torch.linalg.cross(stored[..., 0, :], stored[..., 1, :]).conj()
    return stored
