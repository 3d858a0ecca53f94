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
    chosen = [*kicks[:-1], *drifts[:-1], *(one for one in displacements if one != 0.0)]
    return torch.tensor(chosen, dtype=torch.float64)


def plan_of(values: Tensor, like: Schedule) -> Schedule:
    """The schedule of these numbers: of the length, counts and displaced kicks of `like`."""
    numbers, length = values.tolist(), sum(like.drifts)
    parts = []
    for part in (like.kicks, like.drifts):
        half = (len(part) + 1) // 2
        first, numbers = numbers[:half - 1], numbers[half - 1:]
        rest = length - 2 * sum(first)  # of the middle one, or of the middle two
        last = rest if len(part) % 2 else rest / 2
        parts.append(_mirrored([*first, last], len(part)))
    displaced = [one != 0.0 for one in like.displacements[:(len(like.displacements) + 1) // 2]]
    found = iter(numbers)
    half = [next(found) if flag else 0.0 for flag in displaced]
    return Schedule(*parts, _mirrored(half, len(like.displacements)))


def _mirrored(half: Sequence[float], count: int) -> tuple[float, ...]:
    """[a, b, c] -> (a, b, c, b, a) or (a, b, c, c, b, a)."""
    return (*half, *reversed(half[:count // 2]))
