"""Loops and staples as rows of steps, mu + 1 forwards and -(mu + 1) backwards: data for kernels.

The paths of staples start at x + mu and end at x; loops start and end at x. `loops.path_product`
is what a row means.
"""

import functools
import math

import torch
from torch import Tensor

from l2hmc_bridge.fields.loops import PLANES, rectangle_paths

Paths = tuple[tuple[int, ...], ...]

# Planes whose field strengths meet in the charge, tr(G_tx G_yz) - tr(G_ty G_xz) + tr(G_tz G_xy).
DUALS = tuple((PLANES[n], PLANES[5 - n]) for n in range(3))


def _across(mu: int) -> list[int]:
    """The six steps away from direction mu."""
    return [sign * (nu + 1) for nu in range(4) if nu != mu for sign in (1, -1)]


def staples(mu: int) -> Paths:
    """The six paths that close U_mu(x) to a plaquette."""
    return tuple((n, -(mu + 1), -n) for n in _across(mu))


def rectangle_staples(mu: int) -> Paths:
    """The eighteen paths that close U_mu(x) to a 2x1 rectangle."""
    return tuple(path for n in _across(mu) for path in rectangle_paths(mu + 1, n))


def clover(mu: int, nu: int, m: int, n: int) -> Paths:
    """The m x n loops around x that turn from mu to nu: four, or eight where m and n differ."""
    leaves = []
    for along, across in ((m, n), (n, m))[: 1 if m == n else 2]:
        loop, half = _loop(mu, nu, along, across), along + across
        leaves += [loop[k:] + loop[:k] for k in (0, along, half, half + along)]
    return tuple(leaves)


def _loop(mu: int, nu: int, m: int, n: int) -> tuple[int, ...]:
    """m steps along mu, n along nu, and back."""
    a, b = mu + 1, nu + 1
    return (a,) * m + (b,) * n + (-a,) * m + (-b,) * n


@functools.lru_cache(maxsize=64)
def staple_rows(short: bool, long: bool, device: torch.device) -> Tensor:
    """Rows of the staples of plaquettes, of rectangles or both, int32 [4, paths, width].

    A row is its number of steps, the steps, and zeros.
    """
    table = [staples(mu) * short + rectangle_staples(mu) * long for mu in range(4)]
    width = 1 + max(len(path) for path in table[0])
    filled = [[(len(path), *path) + (0,) * (width - 1 - len(path)) for path in of] for of in table]
    return torch.tensor(filled, dtype=torch.int32, device=device)


@functools.lru_cache(maxsize=64)
def clovers(shapes: tuple[tuple[int, int, float], ...], device: torch.device, dtype: torch.dtype
            ) -> tuple[Tensor, Tensor, Tensor, int]:
    """(rows, heads, weights, number) of shapes (m, n, weight), for the planes of DUALS in turn.

    A row is its number of steps and the steps. A head says where a shape's rows begin, how many a
    plane has and how wide they are. The charge density is the sum of weight tr(A A'), A the
    anti-Hermitian parts of the sums of loops.
    """
    rows: list[int] = []
    heads, weights = [], []
    for m, n, weight in shapes:
        found = [loop for pair in DUALS for plane in pair for loop in clover(*plane, m, n)]
        heads.append((len(rows), len(found) // 6, 1 + len(found[0])))
        rows += [number for loop in found for number in (len(loop), *loop)]
        mean = 1.0 if m == n else 0.25  # the square of a mean over two orientations
        weights.append(mean * weight / (16 * 4 * math.pi**2))
    return (torch.tensor(rows, dtype=torch.int32, device=device),
            torch.tensor(heads, dtype=torch.int32, device=device),
            torch.tensor(weights, dtype=dtype.to_real(), device=device), len(shapes))
