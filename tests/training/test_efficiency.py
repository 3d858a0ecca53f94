"""MD time per force evaluation and its standard error."""

import math

import numpy as np
import pytest
import torch

from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.systems.actions import cold_start, gauge_action
from l2hmc_bridge.training import efficiency

BATCHES = 12


@pytest.fixture(scope="module")
def chains():
    """120 chains of 2^2 x 4^2 at beta 6."""
    hmc = HMC(gauge_action("wilson", 6.0), 0.125, 8, "omf2")
    return thermalise(hmc, cold_start((4, 4, 2, 2), 120), 25,
                      lambda n: markov.trajectory_generator(1, 0, n))


def score(integrator, step_size, links, seed=5):
    kernel = HMC(gauge_action("wilson", 6.0), step_size, 3, integrator)
    return efficiency.md_time_per_force(kernel, links, markov.trajectory_generator(seed, 0, 0))


@pytest.mark.slow
def test_stated_error_is_the_spread_between_batches(chains):
    scores = [score("omf2", 0.2, part, n) for n, part in enumerate(chains.chunk(BATCHES))]
    spread = np.std([one.value for one in scores], ddof=1)
    stated = math.sqrt(np.mean([one.error**2 for one in scores]))
    # chi^2 with 11 degrees of freedom: a factor 2 either way is 99.9 %; small batches add skewness.
    assert 0.45 < spread / stated < 2.2


def test_scaled_to_the_acceptance_asked_for(chains):
    one = score("omf2", 0.2, chains)
    assert abs(one.acceptance - 0.8) < 2e-3
    again = score("omf2", 0.2 * one.scale, chains)
    assert again.value == pytest.approx(one.value, rel=2e-3)
    assert again.scale == pytest.approx(1, rel=2e-3)


def test_paired_ratio_knows_more_than_two_errors_apart(chains):
    new, old = score("omf2", 0.2, chains), score("leapfrog", 0.1, chains)
    value, error = efficiency.ratio(new, old)
    assert value == new.value / old.value
    assert value > 1 + 4 * error  # OMF2 beats leapfrog
    same, zero = efficiency.ratio(old, old)
    assert (same, zero) == (1.0, 0.0)


def test_one_chain_has_no_error(chains):
    assert math.isnan(score("omf2", 0.2, chains[:1]).error)
    assert torch.isfinite(torch.tensor(score("omf2", 0.2, chains[:1]).value))
