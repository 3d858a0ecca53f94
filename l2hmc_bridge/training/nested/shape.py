"""Schedules that are the same backwards as free numbers, and back.

Free are the first halves of kicks and drifts (the middle one of an odd number included) but for the
last of each, which make the sums equal to the length; and the first half of those displacements
that are there. Signs are free.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.sampling.integrators import Schedule


def values_of(plan: Schedule) -> Tensor:
    """The free numbers of a schedule, [n]."""
    kicks, drifts, displacements = (part[:(len(part) + 1) // 2] for part in plan)
    chosen = [*kicks[:-1], *drifts[:-1], *(shift for shift in displacements if shift != 0.0)]
    return torch.tensor(chosen, dtype=torch.float64)


def plan_of(values: Tensor, like: Schedule) -> Schedule:
    """The schedule of these numbers: of the length, counts and displaced kicks of `like`."""
    numbers: list[float] = values.tolist()
    kicks, drifts = (len(part) + 1 >> 1 for part in (like.kicks, like.drifts))  # of one half
    length, ends = sum(like.drifts), (kicks - 1, kicks + drifts - 2)
    found = iter(numbers[ends[1]:])
    displaced = [next(found) if shift != 0.0 else 0.0 for shift in like.displacements[:kicks]]
    return Schedule(_completed(numbers[:ends[0]], len(like.kicks), length),
                    _completed(numbers[ends[0]:ends[1]], len(like.drifts), length),
                    _mirrored(displaced, len(like.displacements)))


def _completed(first: Sequence[float], count: int, total: float) -> tuple[float, ...]:
    """The first half but for its last number, which makes the sum of all `count` right."""
    rest = total - 2 * sum(first)  # of the middle one, or of the middle two
    return _mirrored([*first, rest if count % 2 else rest / 2], count)


def _mirrored(half: Sequence[float], count: int) -> tuple[float, ...]:
    """[a, b, c] -> (a, b, c, b, a) or (a, b, c, c, b, a)."""
    return (*half, *reversed(half[:count // 2]))
