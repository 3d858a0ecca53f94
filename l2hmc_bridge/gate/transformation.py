"""Rows of the gate for the field transformation F of a kernel."""

import torch
from torch import Tensor

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import laws, probes
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.systems.actions import cold_start

STEP = 2e-4  # of the differences that the force is held against
NAMES = {  # of the rows, and their bounds
    "transformation: V after F, F^-1": 1e-12,
    "transformation: log|J| after F, F^-1": 1e-8,
    "transformation: log|J| of F, as trained": 1e-6,
    "transformation: log|J| of F, random networks": 1e-6,
    "transformation: gauge covariance": 1e-11,
    "transformation: translation by two sites": 1e-11,
    "transformation: force, relative": 1e-6,
}


@torch.no_grad()
def rows(kernel: L2HMC, links: Tensor, generator: torch.Generator) -> list[Check]:
    """Every row for the transformation of `kernel`, at `links` and on 2^4; none without one."""
    if kernel.transformation is None:
        return []
    momenta = su3.random_algebra(links.shape[:-2], generator)
    phi = map_of(kernel)
    there = laws.round_trip(phi, inverse_of(kernel), links, momenta)
    rough = su3.exp(0.4 * su3.random_algebra((1, 4, 2, 2, 2, 2), generator)) @ cold_start(
        (2, 2, 2, 2))
    still = torch.zeros_like(rough)
    found = [
        there[0], there[2],
        laws.jacobian_defect(phi, rough, still),
        laws.jacobian_defect(map_of(probes.roughened(kernel, generator)), rough, still),
        laws.covariance_defect(phi, links, momenta, generator),
        max(laws.translation_defect(phi, links, momenta, mu, 2) for mu in range(4)),
        force_defect(kernel, links, momenta),
    ]
    sources = ["exact law"] * 2 + ["finite differences, 2^4"] * 2 + ["exact law"] * 2 + [
        "differences of S(F(V)) - log|J|"]
    return [Check(name, one, 0, bound, source)
            for (name, bound), one, source in zip(NAMES.items(), found, sources, strict=True)]


def map_of(kernel: L2HMC) -> laws.PhaseMap:
    """(V, P) -> (F(V), P, log|J|)."""
    made, beta = kernel.transformation, kernel.action.beta
    if made is None:
        return lambda links, momenta: (links, momenta, links.new_zeros(len(links)).real)

    def there(links: Tensor, momenta: Tensor):
        moved, log_det = made(links, beta)
        return moved, momenta, log_det

    return there


def inverse_of(kernel: L2HMC) -> laws.PhaseMap:
    """(U, P) -> (F^-1(U), P, -log|J|)."""
    made, beta = kernel.transformation, kernel.action.beta
    if made is None:
        return map_of(kernel)

    def back(links: Tensor, momenta: Tensor):
        found, log_det = made.inverse(links, beta)
        return found, momenta, -log_det

    return back


def force_defect(kernel: L2HMC, links: Tensor, direction: Tensor) -> float:
    """|<X, F> - dS~/ds| over |dS~/ds| along X = `direction`, by differences of fourth order."""
    action = kernel.within().action

    def at(size: float) -> Tensor:
        return action(su3.exp(size * direction) @ links)

    slope = (8 * (at(STEP) - at(-STEP)) - (at(2 * STEP) - at(-2 * STEP))) / (12 * STEP)
    found = su3.inner(direction, action.force(links)).flatten(1).sum(1)
    return float(((found - slope).abs() / slope.abs().mean()).max())
