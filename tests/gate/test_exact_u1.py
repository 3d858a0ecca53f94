"""U(1) on finite tori: the closed form by independent means, and HMC against it.

Bounds are 4 standard errors, seeded; each row also states how large its errors may be.
"""

import math

import numpy as np
import pytest
import torch

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import u1
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems import u1_exact
from l2hmc_bridge.systems.actions import U1Action

SIGMAS = 4.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beta", "sites", "expected", "digits"),
    [(1, 16, 0.6501, 5e-5), (2, 256, 4.957196, 5e-7), (3, 256, 2.831565, 5e-7),
     (4, 256, 1.933879, 5e-7), (5, 256, 1.473487, 5e-7), (6, 256, 1.194701, 5e-7),
     (7, 256, 1.006414, 5e-7)],
)
def test_published_digits(beta, sites, expected, digits):
    assert u1_exact.charge_squared(beta, sites) == pytest.approx(expected, abs=digits)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0, 7.0, 40.0])
def test_limits_against_bessel_functions(beta):
    from scipy.special import ive

    infinite = ive(1, beta) / ive(0, beta)
    assert u1_exact.infinite_volume_plaquette(beta) == pytest.approx(infinite, abs=1e-14)
    assert u1_exact.plaquette(beta, 10**5) == pytest.approx(infinite, abs=1e-12)
    n = np.arange(-60, 61)
    ratio = ive(n, beta) / ive(0, beta)
    slope = (ive(n - 1, beta) + ive(n + 1, beta)) / (2 * ive(0, beta))
    torus = (ratio**15 * slope).sum() / (ratio**16).sum()
    assert u1_exact.plaquette(beta, 16) == pytest.approx(torus, abs=1e-13)
    # The bound that the number of terms rests on.
    assert (ratio <= np.exp(-(n**2) / (2 * (beta + np.abs(n) + 1e-300))) * (1 + 1e-12)).all()


def test_beta_zero():
    """Uniform plaquette angles: variance pi^2 / 3 each, so <Q^2> = V / 12, whatever sum is held."""
    assert u1_exact.plaquette(0.0, 16) == pytest.approx(0, abs=1e-14)
    assert u1_exact.charge_squared(0.0, 16) == pytest.approx(16 / 12, abs=1e-12)
    assert u1_exact.smooth_charge_squared(0.0, 16) == pytest.approx(16 / (8 * math.pi**2))


def charge_distribution(beta: float, sites: int, points: int) -> np.ndarray:
    """P(Q = k), |k| <= V/2, as the V-fold convolution of e^{beta cos phi} on [-pi, pi] at 2 pi k.

    Trapezoid rule on `points` steps, error O(h^2): no Fourier sum and no derivative.
    """
    phi = np.linspace(-math.pi, math.pi, points + 1)
    density = np.exp(beta * (np.cos(phi) - 1))
    density[[0, -1]] *= 0.5
    total = density
    for _ in range(sites - 1):
        total = np.convolve(total, density)
    chosen = total[sites * points // 2 % points::points]
    return chosen / chosen.sum()


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("sites", [4, 6])
def test_charge_by_convolution(beta, sites):
    """<Q^2> from P(Q) at two spacings, extrapolated; plaquettes +-pi count half on either side."""
    values = []
    for points in (256, 512):
        weight = charge_distribution(beta, sites, points)
        charge = np.arange(len(weight)) - len(weight) // 2
        values.append(float((weight * charge**2).sum()))
    extrapolated = (4 * values[1] - values[0]) / 3
    assert u1_exact.charge_squared(beta, sites) == pytest.approx(extrapolated, rel=1e-6)


def test_two_by_two_by_enumeration():
    """The code's own action and observables on a grid of the three links that fix all plaquettes.

    x_0 of two sites at half steps, x_1 of one at whole steps: no plaquette angle falls on +-pi.
    """
    beta, rows = 1.3, []
    for points in (24, 48):
        whole = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points - math.pi
        half = whole + math.pi / points
        grid = torch.stack(torch.meshgrid(half, half, whole, indexing="ij")).flatten(1)
        angles = u1.cold_start((2, 2), grid.shape[1])
        angles[:, 0, 0, 0], angles[:, 0, 1, 0], angles[:, 1, 0, 0] = grid
        weight = torch.softmax(-U1Action(beta)(angles), dim=0)
        rows.append([float((weight * value).sum()) for value in (
            u1.plaquette(angles), u1.topological_charge(angles) ** 2,
            u1.smooth_charge(angles) ** 2)])
    plaquette, smooth = rows[1][0], rows[1][2]
    charge = (4 * rows[1][1] - rows[0][1]) / 3  # the integrand jumps: error O(h^2), extrapolated
    assert u1_exact.plaquette(beta, 4) == pytest.approx(plaquette, abs=1e-13)
    assert u1_exact.smooth_charge_squared(beta, 4) == pytest.approx(smooth, abs=1e-13)
    assert u1_exact.charge_squared(beta, 4) == pytest.approx(charge, rel=1e-4)
    assert plaquette - u1_exact.infinite_volume_plaquette(beta) > 0.05


def test_bad_arguments_are_named():
    with pytest.raises(ActionError, match="volume"):
        u1_exact.plaquette(1.0, 2)
    with pytest.raises(ActionError, match="beta"):
        u1_exact.charge_squared(float("nan"), 16)


def means(beta, extent, chains, trajectories, step, lengths=(2, 3), seed=1, cut=60,
          integrator="omf2"):
    """{name: (mean, standard error)} over independent chains from a hot start.

    Trajectories of `lengths` steps take turns: one length alone leaves some waves where they are.
    """
    generator = torch.Generator().manual_seed(seed)
    kernels = [HMC(U1Action(beta), step, steps, integrator) for steps in lengths]
    state, rows = kernels[0].init(u1.hot_start((extent, extent), generator, chains)), []
    for n in range(cut + trajectories):
        state, info = kernels[n % len(kernels)].step(state, generator)
        if n >= cut:
            rows.append((u1.plaquette(state.links), u1.topological_charge(state.links) ** 2,
                         u1.smooth_charge(state.links) ** 2, (-info.delta_h).exp(),
                         info.accepted.double()))
    table = [torch.stack(column).mean(0) for column in zip(*rows, strict=True)]
    names = ("plaquette", "charge_squared", "smooth_charge_squared", "exp_minus_dh", "acceptance")
    return {name: (float(column.mean()), float(column.std()) / chains**0.5)
            for name, column in zip(names, table, strict=True)}


def deviations(found, beta, sites):
    """(found - exact) / error of plaquette, <Q^2> and its smooth sibling."""
    return {name: (found[name][0] - getattr(u1_exact, name)(beta, sites)) / found[name][1]
            for name in ("plaquette", "charge_squared", "smooth_charge_squared")}


RUNS = {  # beta, extent, chains, trajectories, step; bounds on the errors of plaquette and <Q^2>
    "4x4, beta 1": ((1.0, 4, 512, 400, 0.5), 7e-4, 0.006),
    "8x8, beta 2": ((2.0, 8, 256, 400, 0.35), 4e-4, 0.012),
    "16x16, beta 2": ((2.0, 16, 128, 300, 0.3), 4e-4, 0.018),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_hmc_reproduces_plaquette_and_charge(name):
    (beta, extent, *rest), plaquette_error, charge_error = RUNS[name]
    found, sites = means(beta, extent, *rest), extent**2
    assert found["plaquette"][1] < plaquette_error
    assert found["charge_squared"][1] < charge_error * u1_exact.charge_squared(beta, sites)
    right = deviations(found, beta, sites)
    assert all(abs(value) < SIGMAS for value in right.values()), right
    weight, error = found["exp_minus_dh"]
    assert abs(weight - 1) < SIGMAS * error < 0.01
    # Negative controls: beta 5 per cent off, a charge normalised by pi, the smooth charge for Q.
    assert abs(deviations(found, 1.05 * beta, sites)["plaquette"]) > 2 * SIGMAS
    charge, error = found["charge_squared"]
    exact = u1_exact.charge_squared(beta, sites)
    assert abs(4 * charge - exact) > 5 * SIGMAS * 4 * error
    assert abs(found["smooth_charge_squared"][0] - exact) > 5 * SIGMAS * error


@pytest.mark.slow
def test_the_torus_is_felt_on_4x4():
    """At beta 3 the run agrees with the torus and excludes the infinite volume."""
    found = means(3.0, 4, 1024, 260, 0.35)
    right = deviations(found, 3.0, 16)
    assert all(abs(value) < SIGMAS for value in right.values()), right
    value, error = found["plaquette"]
    assert value - u1_exact.infinite_volume_plaquette(3.0) > 2 * SIGMAS * error
    assert found["charge_squared"][1] < 0.03 * found["charge_squared"][0]


def test_without_the_accept_step_the_run_is_wrong(monkeypatch):
    """The same run, coarse steps: exact with the accept step, far off when all is accepted."""
    run = {"step": 0.4, "lengths": (3,), "integrator": "leapfrog", "cut": 40}
    found = means(2.0, 4, 256, 60, **run)
    assert 0.2 < found["acceptance"][0] < 0.9
    assert abs(deviations(found, 2.0, 16)["plaquette"]) < SIGMAS
    monkeypatch.setattr(markov, "draw_uniform",
                        lambda chains, generator: torch.zeros(chains, dtype=torch.float64))
    found = means(2.0, 4, 256, 60, **run)
    assert found["acceptance"][0] == 1
    assert abs(deviations(found, 2.0, 16)["plaquette"]) > 2 * SIGMAS
