"""Heat bath and overrelaxation on the compiled kernels; formulas in `fast/heatbath.py`."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast import heatbath as reference
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fast.cpu.library import LINK, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fast.cpu.shapes import check_shape
from l2hmc_bridge.fields.part import Part


class Tables(NamedTuple):
    """Who is in the lanes of each block."""

    sites: Tensor  # int64 [blocks, lanes], as the counters number them
    lanes: Tensor  # 16 bits [colours, blocks], a bit for each lane of that colour


@functools.lru_cache(maxsize=32)
def tables(extents: tuple[int, ...], dtype: torch.dtype, part: Part | None = None) -> Tables:
    """The sites and colours of a lattice, or of a part of one, in its blocked layout."""
    lattice = library.lattice(extents, dtype, part)
    sites, whole = lattice.sites, extents
    if part is not None:  # numbered and coloured as in the whole lattice
        sites, whole = part.sites()[sites], part.lattice
    colours = reference.colours(whole).flatten()[sites]
    bits = 1 << torch.arange(lattice.lanes)
    lanes = torch.stack([((colours == colour) * bits).sum(1)
                         for colour in range(int(colours.max()) + 1)])
    return Tables(sites, lanes.to(torch.int32).view(torch.int16)[:, ::2].contiguous())


def heat_bath(links: Tensor, beta: float, words: Tensor, sweeps: int, overrelaxations: int
              ) -> Tensor:
    """`sweeps` heat-bath sweeps, then `overrelaxations` of the other kind."""
    reference.check(links)
    lattice = library.lattice_of(links)
    blocks = SCRATCH.take(lattice.field(len(links), LINK), lattice.dtype)
    blocked.links_in(lattice, links, out=blocks)
    sweep(lattice, blocks, beta, words, sweeps, overrelaxations)
    result = blocked.links_out(lattice, blocks)
    SCRATCH.give(blocks)
    return result


def sweep(lattice: Lattice, links: Tensor, beta: float, words: Tensor, sweeps: int,
          overrelaxations: int) -> None:
    """The same in the blocked layout, in place.

    Where other processes hold the rest of the lattice, their links are asked for after each step.
    """
    reference.check_words(words, len(links))
    table = tables(lattice.extents, lattice.dtype, lattice.part)
    words = words.to("cpu", torch.int64).contiguous()
    steps = [(0, 4, table.lanes)]
    if lattice.shared:
        steps = [(mu, mu + 1, lanes[None]) for mu in range(4) for lanes in table.lanes]
    for number in range(sweeps + overrelaxations):
        for first, end, lanes in steps:
            lattice.call("heat_bath_sweep", links, float(beta), number, first, end, len(lanes),
                         lanes, table.sites, words if number < sweeps else None, links)
            lattice.renew(links)


def philox(counters: Tensor, key: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """`fast.philox.philox` of int64 [n, 4] under one key [2], by the kernels of a precision."""
    check_shape("counters", counters, (len(counters), 4))
    check_shape("key", key, (2,))
    counters, key = (one.to(torch.int64).contiguous() for one in (counters, key))
    out = torch.empty_like(counters)
    library.call("philox_words", library.long(len(counters)), counters, key, out, dtype=dtype)
    return out
