"""Staples as rows of steps, mu + 1 forwards and -(mu + 1) backwards: data for kernels.

Their paths start at x + mu and end at x; `loops.path_product` is what a row means.
"""

import functools

import torch
from torch import Tensor

from l2hmc_bridge.fields.loops import rectangle_paths

Paths = tuple[tuple[int, ...], ...]


def _across(mu: int) -> list[int]:
    """The six steps away from direction mu."""
    return [sign * (nu + 1) for nu in range(4) if nu != mu for sign in (1, -1)]


def staples(mu: int) -> Paths:
    """The six paths that close U_mu(x) to a plaquette."""
    return tuple((n, -(mu + 1), -n) for n in _across(mu))


def rectangle_staples(mu: int) -> Paths:
    """The eighteen paths that close U_mu(x) to a 2x1 rectangle."""
    return tuple(path for n in _across(mu) for path in rectangle_paths(mu + 1, n))


@functools.lru_cache(maxsize=64)
def staple_rows(short: bool, long: bool, device: torch.device) -> Tensor:
    """Rows of the staples of plaquettes, of rectangles or both, int32 [4, paths, width].

    A row is its number of steps, the steps, and zeros.
    """
    table = [staples(mu) * short + rectangle_staples(mu) * long for mu in range(4)]
    width = 1 + max(len(path) for path in table[0])
    filled = [[(len(path), *path) + (0,) * (width - 1 - len(path)) for path in of] for of in table]
    return torch.tensor(filled, dtype=torch.int32, device=device)
