"""Averages with two flavours of quarks on 2^4 by exact determinants: no pseudofermion anywhere.

HMC of an action of plaquettes and of lines, U_mu(x) U_mu(x+mu), which wind around a lattice of
extent two and of which log det(M^+ M) mostly consists there; the rest of the weight is reweighted:
w = det(M^+ M) e^{S' - S}, S = Wilson's at beta, S' the sampled one.
"""

from collections.abc import Callable

import torch

from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables.standard import plaquette
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.systems.actions import GaugeAction, cold_start
from tests.support import dense_quarks

LATTICE = (2, 2, 2, 2)
FIT = 384  # configurations of the fit of log det to plaquette and lines


def lines(links):
    """Mean of Re tr U_mu(x) U_mu(x+mu) for each mu, [Nb, 4]; extents of two."""
    turned = torch.stack([links[:, mu] @ links[:, mu].roll(-1, 1 + mu) for mu in range(4)], 1)
    return su3.trace(turned).real.mean((2, 3, 4, 5))


def with_lines(beta, weights):
    """S' = S_beta - sum_mu c_mu L_mu as an action; F of a line is (c / V) TA(U_mu U_mu)."""
    gauge, volume = GaugeAction(beta), 16

    def action(links):
        return gauge(links) - lines(links) @ weights

    def force(links):
        turned = torch.stack([links[:, mu] @ links[:, mu].roll(-1, 1 + mu) for mu in range(4)], 1)
        scale = weights.view(1, 4, *[1] * 6) / volume
        return gauge.force(links) + scale * su3.project_algebra(turned)

    return HostAction(action, force)


def sampled(beta, kappa, twist, chains, trajectories, seed, report: Callable = lambda n: None):
    """(plaquettes, log w), [trajectories, chains] each, in equilibrium of S'."""
    generator = torch.Generator().manual_seed(seed)
    pilot = HMC(GaugeAction(beta), 0.25, 4)
    links = thermalise(pilot, cold_start(LATTICE, 64), 20, lambda n: generator)
    columns, values, state = [], [], pilot.init(links)
    while len(columns) * 64 < FIT:
        for _ in range(3):
            state, _ = pilot.step(state, generator)
        columns.append(torch.cat([plaquette(state.links)[:, None], lines(state.links),
                                  torch.ones(64, 1, dtype=torch.float64)], 1))
        values.append(dense_quarks.log_weight(state.links, kappa, twist))
    fit = torch.linalg.lstsq(torch.cat(columns), torch.cat(values)[:, None]).solution[:, 0]
    sampler = HMC(with_lines(beta + float(fit[0]) / 96, fit[1:5]), 0.2, 5)
    links = thermalise(sampler, cold_start(LATTICE, chains), 30, lambda n: generator)
    state, gauge, rows = sampler.init(links), GaugeAction(beta), []
    for number in range(trajectories):
        state, _ = sampler.step(state, generator)
        weight = dense_quarks.log_weight(state.links, kappa, twist)
        rows.append(torch.stack([plaquette(state.links),
                                 weight + sampler.action(state.links) - gauge(state.links)]))
        report(number)
    plaquettes, weights = torch.stack(rows, 1)
    return plaquettes, weights


def reweighted(plaquettes, weights):
    """(<P>, its error by jackknife over chains, share of effective configurations)."""
    weight = (weights - weights.max()).exp()
    tops, bottoms = (weight * plaquettes).sum(0), weight.sum(0)
    value = float(tops.sum() / bottoms.sum())
    left_out = (tops.sum() - tops) / (bottoms.sum() - bottoms)
    count = len(tops)
    error = float(((left_out - left_out.mean()).square().sum() * (count - 1) / count).sqrt())
    return value, error, float(weight.sum() ** 2 / weight.square().sum() / weight.numel())
