"""openQCD (CERN) configurations: T,X,Y,Z, the plaquette, then the eight links of each odd site.

Little endian: four int32, one float64 (plaquette normalised to 3), then for every site with
(t+x+y+z) odd, z fastest and t slowest, the links +0,-0,+1,-1,+2,-2,+3,-3 (t,x,y,z); "-mu" is
U_mu(n - mu) itself (openQCD modules/archive/archive.c). There is no magic and no checksum. PyQUDA
writes the extents as T,Z,Y,X: if the two orders differ, the stored plaquette decides.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.payload import blocks
from l2hmc_bridge.adapters.payload.move import check_slices, links_array
from l2hmc_bridge.adapters.payload.quality import link_checks, measure, writable
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import read_at
from l2hmc_bridge.storage.atomic import replacing

from .openqcd_header import HEADER, SITE_BYTES, parse, refuse_odd

PLAQUETTE_TOLERANCE = 1e-10


def read(
    path: Path, verify: bool = True, slices: tuple[int, int] | None = None
) -> Configuration:
    """Links and metadata; the order of the spatial extents is decided by the plaquette."""
    meta, (nt, *space), plaquette = parse(path)
    spatial = _decided(path, nt, tuple(space), plaquette, meta)
    meta["lattice"] = (*spatial, nt)
    links = _links(path, nt, spatial, slices)
    if verify:
        meta["checks"] += link_checks(links, 64, [], meta)
        if slices is None:
            found = 3 * meta["plaquette"]
            meta["checks"].append(check("plaquette_x3", found, plaquette, PLAQUETTE_TOLERANCE))
    return Configuration(links, meta)


def write(path: Path, configuration: Configuration, force: bool = False) -> None:
    """openQCD's file, extents as T,X,Y,Z."""
    links = configuration.links
    nt, *space = links.shape[2:6]
    refuse_odd(path, (nt, *space))
    measured = writable(path, links, 64)
    array = links_array(links)
    with replacing(path, force) as file:
        file.write(HEADER.pack(nt, *space, 3 * measured.plaquette))
        for time_slice in range(nt):
            file.write(_encode(array, time_slice).tobytes())


def _decided(
    path: Path, nt: int, stated: tuple[int, ...], plaquette: float, meta: dict[str, Any]
) -> tuple[int, ...]:
    """The spatial extents: as stated, or reversed where only that gives the stored plaquette."""
    if stated == stated[::-1]:
        return stated
    for spatial in (stated, stated[::-1]):
        found = 3 * measure(_links(path, nt, spatial, None)).plaquette
        if abs(found - plaquette) <= PLAQUETTE_TOLERANCE:
            if spatial != stated:
                meta["dialect"] = "PyQUDA"
                meta["warnings"].append("extents stand in the order T,Z,Y,X in the header: "
                                        "the stored plaquette decided")
            return spatial
    return stated


def _links(path: Path, nt: int, space: tuple[int, ...], slices: tuple[int, int] | None) -> Tensor:
    first, last = check_slices(path, slices, nt)
    out = np.empty((4, last - first, *space, 3, 3), np.complex128)
    size = SITE_BYTES * math.prod(space)
    descriptor = os.open(path, os.O_RDONLY)

    def move(time_slice: int, buffer: NDArray[np.uint8]) -> None:
        read_at(descriptor, HEADER.size + time_slice * size, buffer.data)
        _decode(buffer.view("<c16").reshape(-1, 8, 3, 3), time_slice, nt, first, last, out)

    try:
        # Slice `last` holds the links from slice last - 1 upwards in time, at its odd sites.
        needed = range(first, last + (last - first < nt))
        blocks.in_threads(move, [time_slice % nt for time_slice in needed], size)
    finally:
        os.close(descriptor)
    return torch.from_numpy(out)[None]


def _odd_sites(time_slice: int, space: tuple[int, ...]) -> tuple[NDArray[np.int64], ...]:
    """(x, y, z) of the odd sites of a slice, z fastest."""
    x, y, z = np.indices(space)
    return np.nonzero((time_slice + x + y + z) % 2)


def _decode(
    stored: NDArray, time_slice: int, nt: int, first: int, last: int, out: NDArray
) -> None:
    """Place the eight links of each odd site; those of slices not asked for are left out."""
    space = out.shape[2:5]
    sites = _odd_sites(time_slice, space)
    if first <= time_slice < last:
        here = time_slice - first
        for mu in range(4):
            out[mu, here][sites] = stored[:, 2 * mu]
        for axis in range(3):
            out[axis + 1, here][_below(sites, axis, space)] = stored[:, 2 * axis + 3]
    before = (time_slice - 1) % nt
    if first <= before < last:
        out[0, before - first][sites] = stored[:, 1]


def _encode(array: NDArray, time_slice: int) -> NDArray:
    """[odd sites of the slice, 8, 3, 3], inverse of `_decode`."""
    space = array.shape[2:5]
    sites = _odd_sites(time_slice, space)
    stored = np.empty((len(sites[0]), 8, 3, 3), "<c16")
    for mu in range(4):
        stored[:, 2 * mu] = array[mu, time_slice][sites]
    stored[:, 1] = array[0, (time_slice - 1) % array.shape[1]][sites]
    for axis in range(3):
        stored[:, 2 * axis + 3] = array[axis + 1, time_slice][_below(sites, axis, space)]
    return stored


def _below(
    sites: tuple[NDArray[np.int64], ...], axis: int, space: tuple[int, ...]
) -> tuple[NDArray[np.int64], ...]:
    moved = list(sites)
    moved[axis] = (sites[axis] - 1) % space[axis]
    return tuple(moved)
