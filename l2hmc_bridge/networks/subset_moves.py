"""Links that move subset by subset, in torch: each by what the others, which stay, say."""

import functools
from collections.abc import Callable
from itertools import groupby
from typing import cast

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fields import layout

Subset = tuple[int, bool | None, bool]  # direction, parity (None: both), network or P alone


def move_subsets(links: Tensor, order: tuple[Subset, ...], step: Tensor,
                  velocity: Callable[[Tensor, int, bool], Tensor], plain: Tensor | None = None
                  ) -> Tensor:
    """exp(step V) U of one subset after the other; V(links, direction, alive) [Nb,Nt,...,3,3].

    With the V of subsets that are not alive, `plain` like links, these move together.
    """
    for together, of in groupby(order, lambda one: plain is not None and not one[2]):
        if together:
            moved = fast.expm_multiply(cast(Tensor, plain), links, step)
            within = _within(tuple(links.shape[2:6]), links.device, tuple(of))
            links = torch.where(within, moved, links)
            continue
        for mu, odd, alive in of:
            moved = fast.expm_multiply(velocity(links, mu, alive)[:, None], links[:, mu, None],
                                       step)[:, 0]
            if odd is not None:
                within = _within(tuple(links.shape[2:6]), links.device, ((mu, odd, alive),))
                moved = torch.where(within[mu], moved, links[:, mu])
            links = torch.cat([links[:, :mu], moved[:, None], links[:, mu + 1:]], dim=1)
    return links


@functools.lru_cache(maxsize=64)
def _within(extents: tuple[int, ...], device: torch.device, chosen: tuple[Subset, ...]) -> Tensor:
    """Whether a link belongs to one of these subsets, [4,Nt,Nx,Ny,Nz,1,1]."""
    with torch.inference_mode(False):
        within = torch.zeros(4, *extents, dtype=torch.bool, device=device)
        parity = layout.parity(within[None])
        for mu, odd, _ in chosen:
            within[mu] |= True if odd is None else parity == odd
        return within[..., None, None]
