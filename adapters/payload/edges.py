"""What lies at the edges of a lattice, where boundaries and twists are put, whoever holds it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.adapters.format.checks import GROUP_BOUND
from l2hmc_bridge.fields import part as parts


def edge(links: Tensor) -> Tensor:
    """Links of the sites N-2, N-1, 0, 1 along each axis, [4,n,n,n,n,3,3]; all where N <= 4."""
    part = parts.of(links)
    lattice = parts.lattice_of(links)
    kept = [torch.tensor([n - 2, n - 1, 0, 1]) if n > 4 else torch.arange(n) for n in lattice]
    if part is None or not part.cut:
        return _at(links, kept)
    local = [sites - o for sites, o in zip(kept, part.origin, strict=True)]
    mine = [((at >= 0) & (at < n)).nonzero()[:, 0]
            for at, n in zip(local, part.extents, strict=True)]
    found = torch.zeros(4, *map(len, kept), 3, 3, dtype=links.dtype)
    t, x, y, z = torch.meshgrid(*mine, indexing="ij")
    found[:, t, x, y, z] = _at(links, [at[own] + h for at, own, h in zip(
        local, mine, part.halo, strict=True)])
    # Each site is one process's and zero elsewhere: as whole numbers the sum has its very bits.
    bits = part.network.total(torch.view_as_real(found).contiguous().view(torch.int64))
    return torch.view_as_complex(bits.view(torch.float64))


def _at(links: Tensor, sites: Sequence[Tensor]) -> Tensor:
    t, x, y, z = torch.meshgrid(*sites, indexing="ij")
    return links[0][:, t, x, y, z]


def fixed_slice(links: Tensor) -> bool:
    """Whether spatial links are one diagonal matrix each on slice t = 0, and not on t = 1."""
    lattice = parts.lattice_of(links)
    if lattice[0] < 2:
        return False
    origin = [2 if n > 4 else 0 for n in lattice]  # places of coordinate 0 among the kept ones
    corners = edge(links)[1:, :, origin[1], origin[2], origin[3]]
    first, second = corners[:, origin[0]], corners[:, origin[0] + 1]
    diagonal = torch.diag_embed(first.diagonal(dim1=-2, dim2=-1))
    if not (first - diagonal).abs().max() <= GROUP_BOUND:
        return False
    constant = [_apart(links, t, corner) < GROUP_BOUND for t, corner in ((0, first), (1, second))]
    return constant[0] and not constant[1] and bool(first.abs().sum() > 0)


def _apart(links: Tensor, time_slice: int, corner: Tensor) -> float:
    """max |U_i(x) - U_i(0)| over the spatial links of a time slice."""
    part = parts.of(links)
    found = torch.zeros((), dtype=torch.float64)
    local = time_slice if part is None else time_slice - part.origin[0]
    if part is None or 0 <= local < part.extents[0]:
        spatial = links[0, 1:, local + (0 if part is None else part.halo[0])]
        found = (spatial - corner[:, None, None, None]).abs().max().double()
    return parts.largest(found, links)
