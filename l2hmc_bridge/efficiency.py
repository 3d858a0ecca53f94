"""How far a kernel gets for its forces: MD time per force evaluation at equal acceptance."""

import math

import torch
from torch import Tensor

from l2hmc_bridge import fast, markov
from l2hmc_bridge.hmc import HMC
from l2hmc_bridge.l2hmc import L2HMC


@torch.no_grad()
def md_time_per_force(kernel: L2HMC | HMC, links: Tensor, generator: torch.Generator,
                      target: float = 0.8) -> tuple[float, float, float]:
    """(MD time per force evaluation, acceptance, scale) with all steps scaled to `target`.

    At equal acceptance and trajectory length tau_int is the same, so tau times cost goes as the
    inverse of this number. Bisection over the scale with the same momenta each time.
    """
    state = kernel.init(links)
    momenta = markov.draw_momenta(links, generator)

    def acceptance_at(scale: float) -> tuple[float, int]:
        one = kernel.scaled(scale)
        end = one.trajectory(state, momenta, torch.Generator().manual_seed(1))
        delta = one.action(end.links) - state.action + fast.kinetic(end.momenta)
        ratio = end.log_det - delta + fast.kinetic(momenta)
        # E min(1, e^r) for Gaussian r with <e^r> = 1 is erfc(sqrt(var / 8)): far less noise.
        variance = float(ratio.square().mean())
        good = math.isfinite(variance)
        return (math.erfc(math.sqrt(variance / 8)) if good else 0.0), end.force_evaluations

    low, high = 0.2, 3.0
    for _ in range(12):
        middle = math.sqrt(low * high)
        value, forces = acceptance_at(middle)
        low, high = (middle, high) if value > target else (low, middle)
    return low * kernel.length / forces, acceptance_at(low)[0], low
