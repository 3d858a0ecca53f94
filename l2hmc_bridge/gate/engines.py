"""The engine that serves against the formulas in torch: what runs is what is proved."""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.gate import probes
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.sampling.draws import draw_momenta
from l2hmc_bridge.systems.groups import group_of
from l2hmc_bridge.systems.table import system_of


@torch.no_grad()
def agreement(kernel: L2HMC, links: Tensor, generator: torch.Generator) -> list[Check]:
    """Phi, Phi^-1 and the proposal on the serving engine against torch, as trained and rough.

    No row if torch itself serves.
    """
    momenta = draw_momenta(links, generator, group_of(kernel.action))
    name = _named(kernel, links, momenta)
    if name == TorchEngine.name:
        return []
    worst = [_difference(one, links, momenta) for one in (kernel, probes.roughened(kernel,
                                                                                   generator))]
    return [Check(f"engine, {what}: {name}", found, 0, 1e-9, "torch, same formulas")
            for what, found in zip(("as trained", "random networks"), worst, strict=True)]


@torch.no_grad()
def serving(kernel: L2HMC, lattice: Sequence[int]) -> str:
    """Name of the engine that serves this kernel on a lattice, time first."""
    links = system_of(kernel.action).cold((*lattice[1:], lattice[0]), 1)
    return _named(kernel, links, torch.zeros_like(links))


def _named(kernel: L2HMC, links: Tensor, momenta: Tensor) -> str:
    return kernel.enter(links, momenta, torch.zeros_like(links)).name


def _difference(kernel: L2HMC, links: Tensor, momenta: Tensor) -> float:
    """Largest difference in U, P, log|J| and the force at the end, over all maps."""
    force, worst = kernel.guide.force(links), 0.0
    for go in (kernel.forward, kernel.inverse, kernel.palindrome):
        served = kernel.enter(links, momenta, force)
        go(served)
        with fast.using("torch"):
            written = kernel.enter(links, momenta, force)
            go(written)
            expected = written.leave()
        end = served.leave()
        for one, other in ((end.links, expected.links), (end.momenta, expected.momenta),
                           (end.log_det, expected.log_det),
                           (kernel.force_of(end), kernel.force_of(expected))):
            worst = max(worst, float((one - other).abs().max()))
    return worst
