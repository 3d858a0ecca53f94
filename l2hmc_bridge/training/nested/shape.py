"""Schedules that are the same backwards as free numbers, and back.

Free are the first halves of kicks and drifts (the middle one of an odd number included) but for the
last of each, which make the sums equal to the length; and the first half of those displacements
that are there. Signs are free.

With `ends` = m, only the outer m kicks and drifts of each side are free; those between share one
factor, which makes the sums right. Of a term that is small beside what is integrated inside, the
energy error to first order is that of a quadrature of dS/dt along the trajectory: equal steps are
good to all orders within, and all that can be gained is at the ends (symplectic correctors: Wisdom,
Holman, Touma, 1996). So many steps are trained by few numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.sampling.integrators import Schedule


def values_of(plan: Schedule, ends: int = 0) -> Tensor:
    """The free numbers of a schedule, [n]."""
    kicks, drifts = (part[:_free(len(part), ends)] for part in plan[:2])
    half = plan.displacements[:(len(plan.displacements) + 1) // 2]
    chosen = [*kicks, *drifts, *(shift for shift in half if shift != 0.0)]
    return torch.tensor(chosen, dtype=torch.float64)


def plan_of(values: Tensor, like: Schedule, ends: int = 0) -> Schedule:
    """The schedule of these numbers: of the length, counts and displaced kicks of `like`."""
    numbers: list[float] = values.tolist()
    kicks, drifts = (_free(len(part), ends) for part in like[:2])
    length, found = sum(like.drifts), iter(numbers[kicks + drifts:])
    half = like.displacements[:(len(like.displacements) + 1) // 2]
    displaced = [next(found) if shift != 0.0 else 0.0 for shift in half]
    return Schedule(_completed(numbers[:kicks], like.kicks, length),
                    _completed(numbers[kicks:kicks + drifts], like.drifts, length),
                    _mirrored(displaced, len(like.displacements)))


def _free(count: int, ends: int) -> int:
    """How many of `count` steps are free numbers: of the first half all but the last, or `ends`."""
    most = (count + 1) // 2 - 1
    return min(ends, most) if ends else most


def _completed(first: Sequence[float], like: Sequence[float], total: float) -> tuple[float, ...]:
    """The outer steps given, and between them those of `like` by one factor: their sum is right."""
    count, begin = len(like), len(first)
    inside = like[begin:count - begin]
    factor = (total - 2 * sum(first)) / sum(inside)
    return _mirrored([*first, *(factor * step for step in like[begin:(count + 1) // 2])], count)


def _mirrored(half: Sequence[float], count: int) -> tuple[float, ...]:
    """[a, b, c] -> (a, b, c, b, a) or (a, b, c, c, b, a)."""
    return (*half, *reversed(half[:count // 2]))
