"""Energy errors of a nested step on a host's own configurations, and what a force is worth.

The phase space points of a sample are fixed: links, and for each of `draws` a generator from which
noise and momenta are drawn anew every time the sample is measured. So r = log|J| - dH is a function
of the steps alone, and a host with one configuration at a time makes a sample as well.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.markov import Info
from l2hmc_bridge.sampling.nested import Nested

ACCEPTANCE = 0.8
TOO_LARGE = 1e6  # stands for an energy error that is not a number


@dataclass(frozen=True)
class Sample:
    """Links [Nb,4,Nt,Nx,Ny,Nz,3,3] and the seeds of the draws made on them."""

    links: Tensor
    seeds: tuple[int, ...]

    @torch.no_grad()
    def infos(self, kernel: Nested) -> list[Info]:
        """A trajectory from every point, draw by draw."""
        found = []
        for seed in self.seeds:
            generator = torch.Generator().manual_seed(seed)
            state = kernel.refreshed(kernel.init(self.links), generator)
            found.append(markov.propose(kernel, state, generator)[1])
        return found

    def residuals(self, kernel: Nested) -> Tensor:
        """r of every point, [draws Nb]."""
        return log_ratios(self.infos(kernel))


def log_ratios(infos: Sequence[Info]) -> Tensor:
    """r of every point, one that is not a number very large."""
    ratios = torch.cat([info.log_ratio for info in infos])
    return torch.where(ratios.isfinite(), ratios, TOO_LARGE)


def accepted(ratios: Tensor) -> Tensor:
    """2 / (1 + e^|r|) of every point, whose mean is the acceptance <min(1, e^r)>.

    In equilibrium p(-r) = e^r p(r) (the way back from every end), so a point of this |r| goes up
    with probability 1 / (1 + e^|r|). Far less noise than min(1, e^r), and a few points far out,
    which a step near its limit of stability has, count for what they are.
    """
    return 2 * torch.sigmoid(-ratios.abs())


def softened(ratios: Tensor) -> Tensor:
    """What training makes small: r, but for |r| > 1, with the sign of r: square 2 sqrt(1+r^2) - 2.

    (Pseudo-Huber.) The sum of r^2 of a step near its limit of stability is that of its worst point.
    """
    return ratios * (2 / (1 + (1 + ratios.square()).sqrt())).sqrt()


class Worth(NamedTuple):
    """MD time per unit of cost at an acceptance (80 %), with what is known of its error."""

    value: float
    scale: float  # of all steps, where the acceptance is that
    length: float  # of a trajectory there
    cost: float  # of a trajectory
    influence: Tensor  # what each point adds to log(value), mean zero

    @property
    def error(self) -> float:
        """One standard error of `value`, from the spread over points."""
        return self.value * _error_of_mean(self.influence)


def ratio(new: Worth, old: Worth) -> tuple[float, float]:
    """new / old with its standard error, on the same points (errors correlate)."""
    value = new.value / old.value
    return value, value * _error_of_mean(new.influence - old.influence)


def forces(infos: Sequence[Info]) -> float:
    """Cost of a trajectory in forces of all host levels."""
    return sum(use.forces for use in infos[0].levels)


def iterations(infos: Sequence[Info]) -> float:
    """Cost of a trajectory in iterations of all solvers."""
    return sum(use.iterations for info in infos for use in info.levels) / len(infos)


def worth(kernel: Nested, samples: Sequence[Sample],
          cost: Callable[[Sequence[Info]], float] = forces, tries: int = 6,
          acceptance: float = ACCEPTANCE) -> Worth:
    """The scale of all steps that gives this acceptance (`accepted`), by secants.

    They run in log(s^2) against log(scale), s the width of Gaussian r of the same acceptance,
    erfc(s / sqrt 8): s^2 ~ scale^p. A point's share in the error of log(scale) is its share in the
    acceptance's, over the slope.
    """
    goal = _height(acceptance)
    points: list[tuple[float, float]] = []  # (log scale, log s^2)
    place, best, nearest = 0.0, None, math.inf
    for _ in range(tries):
        infos = [info for sample in samples for info in sample.infos(kernel.scaled(
            math.exp(place)))]
        shares = accepted(log_ratios(infos))
        height = _height(float(shares.mean()))
        points.append((place, height))
        if best is None or abs(height - goal) < nearest:
            best, nearest = (place, height, shares, infos), abs(height - goal)
        power = _power(points)
        step = (goal - height) / power
        if abs(step) < 0.005:
            break
        place += max(-0.7, min(0.4, step))
    if best is None:
        raise ConfigError(f"tries: expected at least 1, found {tries}")
    place, height, shares, infos = best
    power = _power(points)
    place += (goal - height) / power  # the rest of the way along the power law
    length, price = kernel.scaled(math.exp(place)).length, cost(infos)
    mean = float(shares.mean())
    slope = (_height(mean + 1e-3) - _height(mean - 1e-3)) / 2e-3
    return Worth(length / price, math.exp(place), length, price,
                 -slope / power * (shares - mean))


def _height(acceptance: float) -> float:
    """log(s^2) with erfc(s / sqrt 8) = acceptance."""
    return math.log(8 * _inverse_erfc(min(max(acceptance, 1e-6), 1 - 1e-6)) ** 2)


def _power(points: Sequence[tuple[float, float]]) -> float:
    """d log s^2 / d log scale between the last two scales, 4 to begin with; at least 2."""
    if len(points) < 2 or points[-1][0] == points[-2][0]:
        return 4.0
    slope = (points[-1][1] - points[-2][1]) / (points[-1][0] - points[-2][0])
    return min(max(slope, 2.0), 16.0)


def _inverse_erfc(value: float) -> float:
    low, high = 0.0, 6.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if math.erfc(middle) > value else (low, middle)
    return low


def _error_of_mean(values: Tensor) -> float:
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.nan
