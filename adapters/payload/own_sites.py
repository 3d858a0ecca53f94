"""The sites of one process in a file of the natural layout: read and written without the others'.

Checksums are of all sites: each process sums up its own, and the sums are combined.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.part import Part
from l2hmc_bridge.fields.slabs import Run, SharedFile, by_each, read_at, runs, write_at

from . import blocks, checksums
from .layout import Block, Payload

Sums = dict[str, tuple[int, ...]]


class Box(NamedTuple):
    """Own sites of `planes` z-planes from z on at slice t, both counted from the first own site."""

    t: int
    z: int
    planes: int


def through_first(part: Part, make: Callable[[], Configuration]) -> Configuration:
    """What the first process reads of a whole lattice, as this one holds it."""
    kept: list[Tensor] = []

    def whole() -> Mapping[str, Any]:
        found = make()
        kept.append(found.links)
        return found.meta

    meta = part.network.made(whole)
    return Configuration(part.network.scattered(part, kept[0] if kept else None), meta)


def given_first(
    part: Part, configuration: Configuration, give: Callable[[Configuration], None]
) -> None:
    """Let the first process write the whole of a configuration of which each holds a part."""
    whole = part.network.gathered(part, configuration.links)

    def written() -> None:
        if whole is not None:
            give(configuration._replace(links=whole))

    part.network.made(written)


def read_own(path: Path, payload: Payload, sums: Sequence[str], part: Part) -> tuple[Tensor, Sums]:
    """The links of a part [1,4,...], copies of others' sites included, and the sums of all."""
    out = np.empty((4, *part.held, 3, 3), np.complex128)
    own = out[(slice(None), *part.own)]

    def keep(box: Box, raw: NDArray[np.uint8]) -> None:
        taken = np.empty((4, 1, *part.extents[1:3], box.planes, 3, 3), np.complex128)
        blocks.decode(raw, payload, Block(0, 0, 0, box.planes), taken)
        own[:, box.t, :, :, box.z : box.z + box.planes] = taken[:, 0]

    found = _pass_over(path, payload, sums, part, keep)
    links = torch.from_numpy(out)[None]
    parts.renew(part, links)
    return links, found


def sum_own(path: Path, payload: Payload, sums: Sequence[str], part: Part) -> Sums:
    """The sums of all sites alone."""
    return _pass_over(path, payload, sums, part, lambda _box, _raw: None)


def write_own(
    file: SharedFile, links: Tensor, payload: Payload, sums: Sequence[str], part: Part
) -> Sums:
    """Write the own sites of links [1,4,...]; returns the sums of all."""
    own = part.kept(links.detach())[0].numpy()

    def give(box: Box, raw: NDArray[np.uint8]) -> list[tuple[int, ...]]:
        places = _places(payload, part, box)
        given = np.ascontiguousarray(
            own[:, box.t : box.t + 1, :, :, box.z : box.z + box.planes], np.complex128)
        blocks.encode(given, payload, Block(0, 0, 0, box.planes), raw)
        partial = _sums(raw, places, payload, sums)
        for run in places:
            write_at(file.descriptor, payload.offset + run.offset, raw[_bytes(run)].data)
        return partial

    def pass_over() -> Sums:
        with blocks.flushing(file.descriptor, payload.size):
            return _each_box(payload, part, sums, give)

    return checksums.of_all(part.network, file.pieces(pass_over))


def _pass_over(
    path: Path, payload: Payload, sums: Sequence[str], part: Part,
    keep: Callable[[Box, NDArray[np.uint8]], None],
) -> Sums:
    """Read the own sites box after box, each given to `keep`; the sums of all sites."""

    def pass_over() -> Sums:
        descriptor = os.open(path, os.O_RDONLY)

        def take(box: Box, raw: NDArray[np.uint8]) -> list[tuple[int, ...]]:
            places = _places(payload, part, box)
            for run in places:
                read_at(descriptor, payload.offset + run.offset, raw[_bytes(run)].data)
            partial = _sums(raw, places, payload, sums)
            keep(box, raw)
            return partial

        try:
            return _each_box(payload, part, sums, take)
        finally:
            os.close(descriptor)

    return checksums.of_all(part.network, by_each(part, path, pass_over))


def _each_box(payload: Payload, part: Part, sums: Sequence[str], move) -> Sums:
    """Move box after box in a few threads; the sums of the own sites."""
    nt, nx, ny, nz = part.extents
    plane = nx * ny * payload.site_bytes
    most = max(1, min(nz, blocks.BLOCK_BYTES // plane)) if (nx, ny) == payload.lattice[:2] else 1
    boxes = [Box(t, z, min(most, nz - z)) for t in range(nt) for z in range(0, nz, most)]
    found = blocks.in_threads(lambda box, buffer: move(box, buffer[: box.planes * plane]), boxes,
                              most * plane)
    return checksums.combine(sums, found)


def _places(payload: Payload, part: Part, box: Box) -> list[Run]:
    """The runs of sites of a box, in bytes from the first site of the payload."""
    nx, ny, nz, _ = payload.lattice
    t, x, y, z = part.origin
    return runs((1, box.planes, part.extents[2], part.extents[1]), (t + box.t, z + box.z, y, x),
                (payload.lattice[3], nz, ny, nx), payload.site_bytes)


def _bytes(run: Run) -> slice:
    return slice(run.start, run.start + run.size)


def _sums(
    raw: NDArray[np.uint8], places: Sequence[Run], payload: Payload, sums: Sequence[str]
) -> list[tuple[int, ...]]:
    """The named sums of one box."""
    found = checksums.combine(sums, [
        checksums.block_sums(raw[_bytes(run)], run.offset // payload.site_bytes, payload, sums)
        for run in places])
    return [found[name] for name in sums]
