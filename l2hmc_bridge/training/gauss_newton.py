"""Levenberg-Marquardt on the energy error: the step sizes of a scheme in a few iterations.

Minimises sum r^2 over a fixed sample of phase-space points, r = log|J| - dH of each, with the
derivatives of r by central differences: two batches of proposals per parameter, no memory, and
exactly the step that will be sampled with. Fourth-order schemes live on the cancellation of large
terms, a narrow valley that gradient descent follows very slowly.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.systems.groups import GROUPS, Group
from l2hmc_bridge.training import levenberg
from l2hmc_bridge.training.levenberg import DAMPING as DAMPING


class Sample(NamedTuple):
    """Phase-space points of one coupling."""

    beta: float
    links: Tensor  # [Nb,4,Nt,Nx,Ny,Nz,3,3]
    momenta: Tensor  # like links


class Fit(NamedTuple):
    """Where an iteration left: mean of r^2, the damping for the next one."""

    loss: float
    damping: float
    improved: bool


def free_parameters(kernel: L2HMC) -> list[tuple[Tensor, int]]:
    """(parameter, index) of the kicks, drifts and displacements that exist, and the mixing."""
    steps = kernel.steps
    chosen: list[tuple[Tensor, int]] = [
        (one, n) for one in (steps.kicks, steps.drifts) if one.requires_grad
        for n in range(len(one))]
    if steps.displacements.requires_grad:
        chosen += [(steps.displacements, n) for n, there in enumerate(steps.displaced) if there]
    if steps.length.requires_grad:
        chosen.append((steps.length.view(1), 0))
    if kernel.mixing is not None and kernel.mixing.coefficient.requires_grad:
        chosen.append((kernel.mixing.coefficient.view(1), 0))
    return chosen


@torch.no_grad()
def residuals(kernel: L2HMC, samples: Sequence[Sample]) -> Tensor:
    """r = log|J| - dH of every point, [sum of Nb]."""
    parts = []
    for sample in samples:
        one = replace(kernel, action=kernel.action.at(sample.beta))
        _, info = markov.moved(one, one.init(sample.links), sample.momenta,
                               torch.Generator().manual_seed(1))
        parts.append(info.log_ratio)
    return torch.cat(parts)


@torch.no_grad()
def iterate(kernel: L2HMC, samples: Sequence[Sample], damping: float) -> Fit:
    """One iteration: derivatives, then the first damped step that lowers sum r^2."""
    chosen = free_parameters(kernel)

    def at(values: Tensor) -> Tensor:
        _put(chosen, values)
        return residuals(kernel, samples)

    before = torch.stack([parameter[n] for parameter, n in chosen]).clone()
    fit = levenberg.iterate(at, before, damping)
    _put(chosen, fit.values)
    return Fit(fit.loss, fit.damping, fit.improved)


def draw(links: Tensor, beta: float, generator: Generators,
         group: Group = GROUPS["su3"]) -> Sample:
    """Fresh momenta on given links."""
    return Sample(beta, links, markov.draw_momenta(links, generator, group))


def _put(chosen: Sequence[tuple[Tensor, int]], values: Tensor) -> None:
    for (parameter, n), value in zip(chosen, values, strict=True):
        parameter[n] = value
