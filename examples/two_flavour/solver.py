"""Conjugate gradient for Mhat Mhat^+ x = b, every chain to its own end, always from zero.

A start from an earlier solution would make a force depend on history, and a trajectory run back
would not return: x is a function of the links and b alone, and of no other chain of the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Solution(NamedTuple):
    """x, iterations and whether |b - A x| <= tolerance |b|, by chain."""

    field: Tensor
    iterations: Tensor  # [Nb]
    converged: Tensor  # [Nb] bool


def solve(operator: Callable[[Tensor], Tensor], source: Tensor, tolerance: float,
          limit: int) -> Solution:
    """x of operator(x) = source, a Hermitian positive operator, after at most `limit` iterations.

    A chain that is done stands still while others go on; one that is not finite stops at once.
    """
    field, residual, direction = torch.zeros_like(source), source.clone(), source.clone()
    square = product(residual, residual)
    goal, iterations = tolerance**2 * square, torch.zeros(source.shape[-1], dtype=torch.long)
    for _ in range(limit):
        active = square > goal  # False for NaN
        if not active.any():
            break
        moved = operator(direction)
        step = torch.where(active, square / product(direction, moved), 0.0)
        field.addcmul_(direction, step.to(field.dtype))
        residual.addcmul_(moved, step.to(field.dtype), value=-1)
        before, square = square, torch.where(active, product(residual, residual), square)
        ratio = torch.where(active, square / before, 0.0)
        direction = torch.addcmul(residual, direction, ratio.to(field.dtype))
        iterations += active
    return Solution(field, iterations, square <= goal)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Re <left, right> of each chain, [Nb]."""
    both = torch.view_as_real(left) * torch.view_as_real(right)
    return both.sum((0, 1, 2)).sum(1)  # one after the other: much faster than all at once
