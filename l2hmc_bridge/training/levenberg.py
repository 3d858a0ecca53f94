"""Levenberg-Marquardt for a sum of squares whose residuals are a black box."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

DIFFERENCE = 1e-4  # of every parameter, for central differences
DAMPING = 1e-2  # the first one
TRIES = 8  # larger dampings tried before an iteration gives up

Residuals = Callable[[Tensor], Tensor]  # values [n] -> residuals [m]


class Fit(NamedTuple):
    """Where an iteration left: the values, mean of r^2, the damping for the next one."""

    values: Tensor
    loss: float
    damping: float
    improved: bool
    residuals: Tensor  # there, [m]


def iterate(residuals: Residuals, values: Tensor, damping: float,
            slopes: Callable[[Residuals, Tensor, Tensor], Tensor] | None = None) -> Fit:
    """One iteration: derivatives, then the first damped step that lowers sum r^2.

    slopes(residuals, values, residuals there) -> [m, n]; `central` if None.
    """
    start = residuals(values)
    slope = (slopes or central)(residuals, values, start)
    normal, gradient = slope.T @ slope, slope.T @ start
    loss = float(start.square().mean())
    for _ in range(TRIES):
        # Directions that change nothing (kicks and drifts count relative to their sums) are made
        # regular by the damping. (solve, not lstsq: that is not reproducible to the last bit.)
        matrix = normal + damping * torch.diag(normal.diagonal() + 1e-12 * normal.trace())
        moved = values + torch.linalg.solve(matrix, -gradient)
        there = residuals(moved)
        value = float(there.square().mean())
        if math.isfinite(value) and value < loss:
            return Fit(moved, value, max(damping / 5, 1e-8), True, there)
        damping *= 5
    return Fit(values, loss, DAMPING, False, start)


def central(residuals: Residuals, values: Tensor, start: Tensor) -> Tensor:
    """Derivatives [m, n] by central differences: two batches of residuals for each value."""
    columns = []
    for n in range(len(values)):
        ends = [residuals(_shifted(values, n, move)) for move in (DIFFERENCE, -DIFFERENCE)]
        columns.append((ends[0] - ends[1]) / (2 * DIFFERENCE))
    return torch.stack(columns, dim=1)


def ahead(residuals: Residuals, values: Tensor, start: Tensor) -> Tensor:
    """Derivatives [m, n] by one-sided differences of 10 DIFFERENCE: one batch for each value.

    Residuals that cost a solve each, and are no smoother than the solver's tolerance.
    """
    step = 10 * DIFFERENCE
    columns = [(residuals(_shifted(values, n, step)) - start) / step for n in range(len(values))]
    return torch.stack(columns, dim=1)


def _shifted(values: Tensor, n: int, move: float) -> Tensor:
    moved = values.clone()
    moved[n] = values[n] + move
    return moved
