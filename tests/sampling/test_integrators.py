"""Schedules of whole trajectories: sums, symmetry, and what their nodes are as a quadrature."""

import itertools
import math

import pytest

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling.integrators import corrected_leapfrog, force_evaluations, schedule


def worst(plan, frequency):
    """The largest error of sum k_i g(t_i) for the integral of g = cos(w t + phase) over phases."""
    times = [0.0, *itertools.accumulate(plan.drifts)]
    length = times[-1]
    pairs = list(zip(plan.kicks, times, strict=True))
    cosine = sum(k * math.cos(frequency * t) for k, t in pairs) - math.sin(
        frequency * length) / frequency
    sine = sum(k * math.sin(frequency * t) for k, t in pairs) - (
        1 - math.cos(frequency * length)) / frequency
    return math.hypot(cosine, sine)


@pytest.mark.parametrize("steps", [8, 9, 16, 31])
def test_a_corrected_leapfrog_is_a_palindrome_of_one_force_a_step(steps):
    plan = corrected_leapfrog(0.2, steps)
    assert all(part == pytest.approx(part[::-1], abs=1e-15) for part in plan)
    assert sum(plan.kicks) == pytest.approx(sum(plan.drifts)) and not any(plan.displacements)
    assert force_evaluations(plan) == steps
    assert plan.drifts[steps // 2] == 0.2


@pytest.mark.parametrize("frequency", [2.0, 3.0, 4.0])
def test_corrected_ends_are_a_better_quadrature(frequency):
    """Of a force that changes at this rate, steps of 0.25; over many lengths: ends interfere."""
    errors = []
    for steps in range(16, 48):
        corrected = corrected_leapfrog(0.25, steps)
        plain = schedule("leapfrog", sum(corrected.drifts) / steps, steps)
        errors.append([worst(plan, frequency) ** 2 for plan in (corrected, plain)])
    corrected, plain = (math.sqrt(sum(one)) for one in zip(*errors, strict=True))
    assert plain > 6 * corrected


def test_too_few_steps_have_no_ends():
    with pytest.raises(ConfigError, match="at least 8"):
        corrected_leapfrog(0.2, 7)
