"""The tuner: 80 % acceptance from 20 trajectories, on fields and on synthetic energy errors."""

import math
import random

import pytest
import torch

from l2hmc_bridge.recorded import randomness
from l2hmc_bridge.sampling import markov, tuning
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import cold_start, gauge_action, hot_start


def test_smooth_mean_is_the_gaussian_integral():
    for v in (0.05, 0.2567, 1.0, 3.0):
        x = torch.linspace(-30, 30, 600001, dtype=torch.float64)
        weight = torch.exp(-((x - v / 2) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        exact = float(torch.trapezoid(weight * torch.exp(-x.abs()), x))
        assert tuning.smooth_mean(v) == pytest.approx(exact, abs=1e-8)
        accepted = float(torch.trapezoid(weight * torch.exp(-x).clamp(max=1), x))
        assert tuning.variance_for(accepted) == pytest.approx(v, rel=1e-6)


def synthetic_acceptance(order, size, noise, aim=tuning.AIM) -> float:
    """Acceptance after 20 trajectories whose dH ~ N(v/2, v), v = (size f^order)^2."""
    factor, tried = 1.0, ()
    for _ in range(20):
        width = size * factor**order
        tried = (*tried, (factor, (noise.gauss(width**2 / 2, width),)))
        factor = tuning.next_factor(tried, aim)
    factor = tuning.settled(tried, factor)
    return math.erfc(size * factor**order / math.sqrt(8))


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize("size", [0.05, 0.5, 50.0])
def test_synthetic_errors_are_tuned(order, size):
    """From steps far too small, right, and far too large, for integrators of any usual order."""
    noise = random.Random(f"{order} {size}")
    found = sorted(synthetic_acceptance(order, size, noise) for _ in range(25))
    assert 0.78 < found[12] < 0.88
    assert found[1] > 0.65 and found[-1] < 0.93


@pytest.mark.parametrize("aim", [0.5, 0.7, 0.9])
def test_another_acceptance_can_be_aimed_at(aim):
    noise = random.Random(f"{aim}")
    found = sorted(synthetic_acceptance(3, 0.5, noise, aim) for _ in range(25))
    assert found[12] == pytest.approx(aim, abs=0.06)


def test_energies_that_are_not_finite_shrink_the_steps():
    tried = ((1.0, (math.nan,)), (0.5, (math.inf,)), (0.25, (-math.inf,)))
    for n in range(1, 4):
        factor = tuning.next_factor(tried[:n])
        assert factor == pytest.approx(tried[n - 1][0] / 2)
    assert tuning.next_factor(((tuning.SMALLEST, (math.nan,)),)) >= tuning.SMALLEST * 0.999


def generators(purpose):
    return lambda number: randomness.reserved("philox", 5, 1, purpose, number)


def tuned_acceptance(kernel, links) -> tuple[float, float]:
    """(factor, acceptance afterwards) from a start that was thermalised by the tuner itself."""
    ready = tuning.tune(kernel, kernel.init(links), 20, generators(randomness.THERMALISATION),
                        lambda *_: False)
    found = tuning.tune(kernel, kernel.init(ready.links), 20, generators(randomness.TUNING),
                        lambda *_: False)
    kernel = kernel.scaled(found.factor)
    state, total = kernel.init(found.links), 0.0
    for number in range(80):
        state, info = kernel.step(state, [markov.trajectory_generator(5, 0, number)])
        total += float(info.log_ratio.exp().clamp(max=1))
    return found.factor, total / 80


@pytest.mark.parametrize("integrator, step", [("leapfrog", 0.3), ("force_gradient", 0.1)])
@pytest.mark.parametrize("start", ["cold", "hot"])
def test_acceptance_on_fields(integrator, step, start):
    """Steps too large and too small, from starts that are not thermalised."""
    kernel = HMC(gauge_action("wilson", 6.0), step, 4, integrator)
    lattice = (4, 4, 4, 4)
    links = (cold_start(lattice) if start == "cold"
             else hot_start(lattice, torch.Generator().manual_seed(3)))
    factor, acceptance = tuned_acceptance(kernel, links)
    assert 0.65 < acceptance < 0.95
    assert factor < 1 if integrator == "leapfrog" else factor > 1


def test_the_start_is_not_touched_and_tuning_can_be_stopped():
    kernel = HMC(gauge_action("wilson", 6.0), 0.2, 2)
    links = hot_start((2, 2, 2, 4), torch.Generator().manual_seed(3))
    before = links.clone()
    calls = []
    found = tuning.tune(kernel, kernel.init(links), 20, generators(randomness.TUNING),
                        lambda number, factor, delta: calls.append(number) or number == 3)
    assert torch.equal(links, before) and not torch.equal(found.links, before)
    assert calls == [1, 2, 3] and len(found.tried) == 3
