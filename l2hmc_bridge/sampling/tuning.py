"""One factor on all steps for an acceptance, found on a copy; thermalisation of a raw start.

At fixed field the energy error of a trajectory with all steps scaled by f behaves like dH ~ f^p,
p = 2 to 4 for the schemes here. In equilibrium dH ~ N(v/2, v), since <exp(-dH)> = 1 (Creutz), and
the acceptance is erfc(sqrt(v/8)) (hep-lat/0505020, eq. 3.3). The mean of exp(-|dH|) is a function
of v as well, smooth and bounded: it tells more than counting, and no outlier outweighs the rest.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.hmc import energy_spread, relaxed
from l2hmc_bridge.sampling.markov import Proposer, State

TRAJECTORIES = 20  # of the tuning, and of the thermalisation of a cold or hot start
AIM = 0.8  # 20 trajectories miss it by up to 0.1; steep schemes (dH ~ f^7) end above it
ORDER = 3.0  # between the 2 and 4 of real schemes: each correction shrinks the error threefold
MEMORY = 0.92  # weight kept from one trajectory to the next: a dozen count, transients fade
NEARNESS = 0.3  # width in log f of what is still taken to follow f^3 from there to the last factor
SETTLED = 5  # last factors tried that enter the mean which is kept
LARGEST_CHANGE = 2.0  # of the factor from one trajectory to the next
SMALLEST, LARGEST = 1 / 64, 8.0

Tried = tuple[float, tuple[float, ...]]  # a factor, and the effective dH of each chain under it
GeneratorsOf = Callable[[int], Generators]  # number of a trajectory, 1, 2, ... -> generators
Report = Callable[[int, float, Sequence[float]], bool]  # number, factor, dH; True stops
Every = Callable[[list[float]], list[float]]


class Tuning(NamedTuple):
    """The factor found, what was tried, and where the copy went."""

    factor: float
    tried: tuple[Tried, ...]
    links: Tensor


@torch.no_grad()
def tune(
    kernel: Proposer, state: State, trajectories: int, generators: GeneratorsOf, report: Report,
    aim: float = AIM, every: Every = list,
) -> Tuning:
    """Factor for kernel.scaled(factor) that gives the acceptance `aim` in equilibrium.

    `trajectories` of kernel start at `state`; a proposal is taken when dH is below the natural
    spread of H under a refresh of the momenta, so that a start out of equilibrium, or steps far
    too large, cannot freeze the copy. Steps change after each trajectory. `report` may stop it.
    `every` gives dH of all chains of several processes from those of this one.
    """
    factor = 1.0
    tried: tuple[Tried, ...] = ()
    bound = energy_spread(state.links, kernel.action)
    for number in range(1, trajectories + 1):
        state, delta, _ = relaxed(kernel.scaled(factor), state, generators(number), bound)
        tried = (*tried, (factor, tuple(every(delta.tolist()))))
        if report(number, factor, tried[-1][1]):
            break
        factor = next_factor(tried, aim)
    return Tuning(settled(tried, factor), tried, state.links)


def settled(tried: Sequence[Tried], last: float) -> float:
    """Geometric mean of the last few factors and the one that would come next."""
    logarithms = [math.log(factor) for factor, _ in tried[-SETTLED:]] + [math.log(last)]
    return math.exp(math.fsum(logarithms) / len(logarithms))


def next_factor(tried: Sequence[Tried], aim: float = AIM) -> float:
    """f that makes the weighted mean of exp(-|dH_j (f/f_j)^3|) what the acceptance `aim` implies.
    """
    goal = smooth_mean(variance_for(aim))
    last = tried[-1][0]
    entries = [
        (_weight(len(tried) - 1 - j, math.log(factor / last)),
         abs(one) if math.isfinite(one) else math.inf, factor)
        for j, (factor, delta) in enumerate(tried)
        for one in delta
    ]
    total = sum(weight for weight, _, _ in entries)

    def excess(log_factor: float) -> float:
        found = sum(
            weight * math.exp(-size * math.exp(ORDER * (log_factor - math.log(factor))))
            for weight, size, factor in entries
        )
        return found / total - goal

    step = math.log(LARGEST_CHANGE)
    low = max(math.log(last) - step, math.log(SMALLEST))
    high = min(math.log(last) + step, math.log(LARGEST))
    return math.exp(_root(excess, low, high))


def _weight(age: int, distance: float) -> float:
    return MEMORY**age * math.exp(-0.5 * (distance / NEARNESS) ** 2)


def variance_for(acceptance: float) -> float:
    """v with erfc(sqrt(v/8)) = acceptance."""
    return _root(lambda v: math.erfc(math.sqrt(v / 8)) - acceptance, 1e-9, 1e3)


def smooth_mean(variance: float) -> float:
    """E[exp(-|x|)], x ~ N(v/2, v): [erfc(sqrt(v/8)) + e^v erfc(sqrt(9v/8))] / 2."""
    first = math.erfc(math.sqrt(variance / 8))
    return 0.5 * (first + math.exp(variance) * math.erfc(math.sqrt(9 * variance / 8)))


def expected_acceptance(tried: Sequence[Tried], factor: float) -> float:
    """Weighted mean of min(1, exp(-dH)) over what was tried within 10 % of `factor`, else NaN."""
    close = [
        one if math.isfinite(one) else math.inf
        for tested, delta in tried if abs(math.log(tested / factor)) < 0.1
        for one in delta
    ]
    return sum(min(1.0, math.exp(-one)) for one in close) / len(close) if close else math.nan


def _root(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a decreasing function in [low, high] by bisection; the nearer end if there is none.
    """
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if decreasing(middle) > 0 else (low, middle)
    return 0.5 * (low + high)
