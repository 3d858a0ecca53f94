"""Angles of two-dimensional U(1): the invertible update of the learned drift.

    x' = 2 atan(e^{e s} tan(x / 2)) + e (v e^{e q} + t),
    log|J| = sum [e s - log(cos^2(x/2) + e^{2 e s} sin^2(x/2))]

on the active half; x in [-pi, pi). The inverse removes the shift first and scales back after.
"""

import math

import torch
from torch import Tensor


def wrap(angles: Tensor) -> Tensor:
    """The same angles in [-pi, pi)."""
    return torch.remainder(angles + math.pi, 2 * math.pi) - math.pi


def scale(angles: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
    """(2 atan(e^a tan(x/2)), log dx'/dx = a - log(cos^2(x/2) + e^{2a} sin^2(x/2))), a = e s."""
    sine, cosine = torch.sin(angles / 2), torch.cos(angles / 2)
    moved = 2 * torch.atan2(torch.exp(exponent) * sine, cosine)
    return wrap(moved), exponent - torch.log(cosine**2 + torch.exp(2 * exponent) * sine**2)


def drift(angles: Tensor, exponent: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Lambda+: scale by a = e s, then shift by c = e (v e^{e q} + t); (x', log dx'/dx)."""
    moved, log_det = scale(angles, exponent)
    return wrap(moved + shift), log_det


def drift_back(angles: Tensor, exponent: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Lambda-, the exact inverse of `drift`: 2 atan(e^{-a} tan((x' - c)/2)); (x, log dx/dx')."""
    return scale(wrap(angles - shift), -exponent)
