"""How far a kernel gets for its forces: MD time, or what matters of the field it changes."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.training import losses


class Efficiency(NamedTuple):
    """Something gained per force evaluation, with what is known of its error."""

    value: float
    acceptance: float
    scale: float
    influence: Tensor  # [Nb], what each chain adds to log(value), mean zero

    @property
    def error(self) -> float:
        """One standard error of `value`, from the spread over chains."""
        return self.value * _error_of_mean(self.influence)


def ratio(new: Efficiency, old: Efficiency) -> tuple[float, float]:
    """new / old with its standard error, for the same chains and momenta (errors correlate)."""
    value = new.value / old.value
    return value, value * _error_of_mean(new.influence - old.influence)


@torch.no_grad()
def md_time_per_force(kernel: L2HMC | HMC, links: Tensor, generator: torch.Generator,
                      target: float = 0.8) -> Efficiency:
    """Bisection over the scale to acceptance `target`, with the same momenta each time.

    At equal acceptance and trajectory length tau_int is the same, so tau times cost goes as the
    inverse of this number. E min(1, e^r) for Gaussian r with <e^r> = 1 is erfc(sqrt(<r^2> / 8)):
    far less noise than the mean of min(1, e^r). With <r^2> ~ scale^p near the end, a chain's share
    in the error of log(scale) is -(r^2 / <r^2> - 1) / p.
    """
    state = kernel.init(links)
    momenta = markov.draw_momenta(links, generator)

    def squares(scale: float) -> tuple[Tensor, int]:
        _, info = markov.moved(kernel.scaled(scale), state, momenta,
                               torch.Generator().manual_seed(1))
        return info.log_ratio.square(), info.force_evaluations

    low, high = 0.2, 3.0
    for _ in range(12):
        middle = math.sqrt(low * high)
        value = _acceptance(squares(middle)[0])
        low, high = (middle, high) if value > target else (low, middle)
    (at_end, forces), (beside, _) = squares(low), squares(0.95 * low)
    power = math.log(at_end.mean() / beside.mean()) / -math.log(0.95)
    influence = -(at_end / at_end.mean() - 1) / power
    return Efficiency(low * kernel.length / forces, _acceptance(at_end), low, influence)


@torch.no_grad()
def jump_per_force(kernel: L2HMC | HMC, links: Tensor, generator: torch.Generator,
                   jump: Callable[[State, State], Tensor], steps: int = 20) -> Efficiency:
    """E[A j(before, proposal)] per force over `steps` of the chain from `links`; j is [Nb].

    For systems whose modes have to be changed: a longer step at equal acceptance says nothing.
    """
    state, forces, accepted = kernel.init(links), 0, 0.0
    gained = torch.zeros(len(links), dtype=torch.float64, device=links.device)
    for _ in range(steps):
        proposal, info = markov.propose(kernel, state, generator)
        chance = losses.acceptance(info)
        gained = gained + torch.where(chance > 0, chance * jump(state, proposal), 0.0)
        forces, accepted = forces + info.force_evaluations, accepted + float(chance.mean()) / steps
        uniform = markov.draw_uniform(len(links), generator)
        state, _ = markov.metropolis(state, proposal, info.log_ratio, uniform)
    mean = gained.mean().clamp(min=1e-300)
    return Efficiency(float(mean) / forces, accepted, kernel.scale if isinstance(kernel, L2HMC)
                      else 1.0, gained / mean - 1)


def _acceptance(squares: Tensor) -> float:
    variance = float(squares.mean())
    return math.erfc(math.sqrt(variance / 8)) if math.isfinite(variance) else 0.0


def _error_of_mean(values: Tensor) -> float:
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.nan
