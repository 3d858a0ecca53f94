"""Heat bath and overrelaxation on the compiled kernels; formulas in `fast/heatbath.py`."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast import heatbath as reference
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.fast.cpu.library import LINK, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH


class Tables(NamedTuple):
    """Who is in the lanes of each block."""

    sites: Tensor  # int64 [blocks, lanes], as the counters number them
    lanes: Tensor  # 16 bits [colours, blocks], a bit for each lane of that colour


@functools.lru_cache(maxsize=32)
def tables(extents: tuple[int, ...], dtype: torch.dtype) -> Tables:
    """The sites and colours of a lattice in its blocked layout."""
    lattice = library.lattice(extents, dtype)
    sites = lattice.sites
    colours = reference.colours(extents).flatten()[sites]
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
    """The same in the blocked layout, in place."""
    table = tables(lattice.extents, lattice.dtype)
    words = words.to("cpu", torch.int64).contiguous()
    for number in range(sweeps + overrelaxations):
        lattice.call("heat_bath_sweep", links, float(beta), number, len(table.lanes), table.lanes,
                     table.sites, words if number < sweeps else None, links)


def philox(counters: Tensor, key: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """`fast.philox.philox` of int64 [n, 4] under one key [2], by the kernels of a precision."""
    counters, key = counters.contiguous(), key.contiguous()
    out = torch.empty_like(counters)
    library.call("philox_words", library.long(len(counters)), counters, key, out, dtype=dtype)
    return out
