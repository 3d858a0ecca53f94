"""Rows of the gate for the systems with exact answers: U(1) on a torus and Gaussian mixtures."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.bundle import fingerprint
from l2hmc_bridge.fields import u1
from l2hmc_bridge.gate import laws
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.elementwise import Elementwise
from l2hmc_bridge.networks.parts import DriftPart, KickPart
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.systems.groups import group_of
from l2hmc_bridge.systems.table import system_of

SIGMAS = 4.0
CHAINS = 64
LATTICES = {"u1": (4, 4)}  # of the Jacobian, for networks that fit any
EXP_ERROR, RELATIVE_ERROR = 0.03, 0.1  # largest standard errors that still prove something
LARGEST, MOST_FAR = 5.0, 0.5  # |r| below which weights count; share of proposals beyond it


def phase_point(kernel: L2HMC, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A rough field and momenta of the shape the kernel fits, Nb = 1."""
    system = system_of(kernel.action)
    shape = (1, *fingerprint.field_shape(kernel, LATTICES), 1)
    field, momenta = (2 * torch.rand(2, *shape, generator=generator, dtype=torch.float64) - 1)
    return system.field(field), system.momenta(momenta)


def jacobian_by(kernel: L2HMC) -> tuple[Callable[..., float], str]:
    """(a defect of log|J| of (phi, links, momenta), how).

    By derivatives where components have a meaning of their own: rough networks make a map so steep
    that differences lose their digits, and networks with kinks have none across one.
    """
    if kernel.action.group != "su3":
        return laws.differentiated_defect, "automatic differentiation"
    return partial(laws.jacobian_defect, group=group_of(kernel.action)), "finite differences"


def in_range(kernel: L2HMC, moved: Tensor) -> list[Check]:
    """Angles stay in [-pi, pi); every number is finite."""
    largest = float(moved.abs().max())
    if kernel.action.group == "u1":
        return [Check("group: angles in [-pi, pi)", max(0.0, largest - math.pi), 0, 0.0,
                      "exact law")]
    return [Check("group: every component is finite", 0.0 if math.isfinite(largest) else 1.0, 0,
                  0.0, "exact law")]


def blind_to_angles(kernel: L2HMC) -> bool:
    """Whether no network of a U(1) step sees an angle: gauge covariance is then a law."""
    return all(isinstance(each, Elementwise) and each.kind == "gate" and "s" not in each.outputs
               for each in _networks(kernel))


def all_local(kernel: L2HMC) -> bool:
    """Whether every network of a U(1) step is a convolution: translations are then a law."""
    return all(isinstance(each, Elementwise) and each.kind == "conv"
               for each in _networks(kernel))


def _networks(kernel: L2HMC) -> list[KickPart | DriftPart]:
    return [each for each in (kernel.kick_network, kernel.drift_network) if each is not None]


@torch.no_grad()
def symmetry(kernel: L2HMC, links: Tensor, generator: torch.Generator) -> list[Check]:
    """Gauge covariance if nothing sees angles, translation by two sites if all is local."""
    if kernel.action.group != "u1":
        return []
    phi, group = laws.forward_map(kernel), group_of(kernel.action)
    momenta = markov.draw_momenta(links, generator, group)
    checks = []
    if blind_to_angles(kernel):
        gauge = u1.hot_start((links.shape[2], links.shape[3]), generator, len(links))[:, :1]
        turn = torch.cat([gauge - torch.roll(gauge, -1, 2), gauge - torch.roll(gauge, -1, 3)], 1)
        there, plain = phi(u1.wrap(links + turn), momenta), phi(links, momenta)
        defect = max(laws.distance(there[0], plain[0] + turn, group),
                     float((there[1] - plain[1]).abs().max()))
        checks.append(Check("gauge covariance", defect, 0, 1e-9, "exact law"))
    if all_local(kernel):
        moved = [torch.roll(one, 2, 2) for one in (links, momenta)]
        there, plain = phi(*moved), phi(links, momenta)
        defect = max(laws.distance(there[0], torch.roll(plain[0], 2, 2), group),
                     float((there[1] - torch.roll(plain[1], 2, 2)).abs().max()))
        checks.append(Check("translation by two sites", defect, 0, 1e-9, "exact law"))
    return checks


@torch.no_grad()
def statistical(kernel: L2HMC, links: Tensor, trajectories: int,
                generator: torch.Generator) -> list[Check]:
    """<(e^r - 1) [|r| < R]> = 0 and the exact answers; a fifth of the chains is left out first.

    r = -dH + log|J|. The proposal is its own inverse, so <e^r g(r)> = <g(-r)> for any g; g = 1 is
    <e^r> = 1, whose sample mean misses what is never sampled: a map that throws points from mode to
    mode takes some into places between them (rejected), and these places into modes, with weights
    of e^20. With g = [|r| < R] every weight is bounded.
    """
    measured, weights, answers = [], [], system_of(kernel.action).answers
    for state, info in markov.run(kernel, kernel.init(links), trajectories, generator):
        measured.append(torch.stack([one.values for one in answers(kernel.action, state.links)]))
        weights.append(info.log_ratio)
    ratios = torch.stack(weights)[trajectories // 5:]
    lost = int((~ratios.isfinite()).sum())
    near = ratios.abs() < LARGEST
    weight = statistics.estimate(list(torch.where(near, ratios.exp() - 1, 0.0).T))
    checks = [
        Check(f"<(e^r - 1) [|r| < {LARGEST:g}]>, error {weight.error:.1g}, NaN {lost}",
              weight.value, 0, SIGMAS * weight.error, f"{SIGMAS:g} sigma"),
        Check("share of proposals with |r| above it", 1 - float(near.double().mean()), 0, MOST_FAR,
              "stated bound"),
        Check("its standard error", weight.error, 0, EXP_ERROR, "stated bound"),
    ]
    series = torch.stack(measured)[trajectories // 5:]
    for n, answer in enumerate(answers(kernel.action, links)):
        found = statistics.estimate(list(series[:, n].T))
        checks += [
            Check(f"{answer.name}, error {found.error:.1g}", found.value, answer.exact,
                  SIGMAS * found.error, f"exact, {SIGMAS:g} sigma"),
            Check("its standard error", found.error, 0, RELATIVE_ERROR * abs(answer.exact),
                  "stated bound"),
        ]
    return checks
