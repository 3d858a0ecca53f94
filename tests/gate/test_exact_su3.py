"""SU(3) where the answer is known: beta = 0 (Haar) and beta = 1 (one-plaquette model)."""

import math

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction, hot_start

LATTICE = (4, 4, 4, 4)


def run(beta: float, chains: int, trajectories: int, thermalise: int, seed: int = 11):
    """(plaquettes, charges, dH), each [chains, trajectories], from a Haar-random start."""
    generator = torch.Generator().manual_seed(seed)
    kernel = HMC(GaugeAction(beta), 0.5, 3, "omf2")
    state, rows = kernel.init(hot_start(LATTICE, generator, chains)), []
    for _ in range(thermalise + trajectories):
        state, info = kernel.step(state, generator)
        rows.append((fast.plaquettes(state.links).mean(1), topological_charge(state.links),
                     info.delta_h))
    return (torch.stack(column, dim=1)[:, thermalise:].numpy()
            for column in zip(*rows, strict=True))


def one_plaquette(beta: float, points: int = 200) -> float:
    """<Re tr P / 3> with weight exp(beta/3 Re tr P) over SU(3): Weyl's integral on a grid."""
    angle = 2 * math.pi * (np.arange(points) + 0.5) / points
    one, two = np.meshgrid(angle, angle)
    phases = np.exp(1j * np.stack([one, two, -one - two]))
    measure = math.prod(
        np.abs(phases[i] - phases[j]) ** 2 for i in range(3) for j in range(i)
    )
    real_trace = phases.real.sum(0)
    weight = measure * np.exp(beta / 3 * real_trace)
    return float((weight * real_trace / 3).sum() / weight.sum())


def test_the_integral_is_right():
    """Strong coupling: beta/18 + beta^2/216 + ..., and the value quoted for beta = 1."""
    assert abs(one_plaquette(1e-3) - 1e-3 / 18 - 1e-6 / 216) < 1e-9
    assert abs(one_plaquette(1.0) - 0.0601266) < 3e-7


@pytest.mark.slow
def test_beta_zero_is_the_haar_measure():
    """No action: every proposal is accepted, plaquettes are independent with variance 1/18."""
    plaquettes, charges, delta_h = run(0.0, chains=32, trajectories=60, thermalise=0)
    mean = estimate(plaquettes)
    assert abs(mean.value) < 4 * mean.error < 1e-3
    assert np.abs(delta_h).max() < 1e-9
    variance = estimate(plaquettes**2)
    exact = 1 / (18 * 6 * math.prod(LATTICE))
    assert abs(variance.value - exact) < 4 * variance.error < 0.2 * exact
    charge = estimate(charges)
    assert abs(charge.value) < 4 * charge.error


@pytest.mark.slow
def test_beta_one_is_the_one_plaquette_model():
    """On 4^4 the model holds up to 3e-6; the run resolves 1e-4."""
    plaquettes, _, delta_h = run(1.0, chains=64, trajectories=90, thermalise=15)
    mean = estimate(plaquettes)
    assert mean.error <= 1e-4
    assert abs(mean.value - one_plaquette(1.0)) < 4 * math.hypot(mean.error, 3e-6)
    weight, bad = exp_minus_dh(delta_h)
    assert bad == 0 and abs(weight.value - 1) < 4 * weight.error < 0.02
