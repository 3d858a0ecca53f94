"""Vectors of R^n: what a kernel must know of the flat space, the simplest "group" of all.

`points` are [Nb, n], float64; momenta have the same shape, v ~ N(0, 1), K = sum v^2 / 2. The
invertible update is x' = x e^{e s} + e (v e^{e q} + t) with log|J| = sum e s on the active half.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def drift(momenta: Tensor, points: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """x' = x + step v."""
    return points + step * momenta


def scale_shift(points: Tensor, exponent: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """(x e^a + c, log dx'/dx = a)."""
    return points * torch.exp(exponent) + shift, exponent


def shift_scale_back(points: Tensor, exponent: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """The exact inverse of `scale_shift`: ((x' - c) e^{-a}, log dx/dx' = -a)."""
    return (points - shift) * torch.exp(-exponent), -exponent


MEASUREMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "first": lambda points: points[:, 0],
    "square": lambda points: points.square().sum(1),
}
