"""Integrators and HMC: order, reversibility, force counting, exactness of the accept step."""

import math

import numpy as np
import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, energy_spread, integrate, thermalise
from l2hmc_bridge.sampling.integrators import INTEGRATORS, Schedule, force_evaluations, schedule
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import Noiseless, cold_start, gauge_action, hot_start
from tests.support.fields import rough_links

ACTION = gauge_action("wilson", 5.7)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_coefficients_sum_to_one_and_are_symmetric(name):
    one = INTEGRATORS[name]
    assert sum(one.kicks) == pytest.approx(1, abs=1e-15)
    assert sum(one.drifts) == pytest.approx(1, abs=1e-15)
    for column in (one.kicks, one.drifts, one.displacements):
        assert column == pytest.approx(column[::-1])


def energy_error(name, step, steps, action, links, momenta):
    state = State(links, action(links), action.force(links))
    end = integrate(action, state, momenta, schedule(name, step, steps))
    return (action(end.links) - state.action + su3.kinetic(end.momenta) - su3.kinetic(momenta))


@pytest.mark.parametrize("name", INTEGRATORS)
def test_order_of_the_energy_error(name, generator):
    """At fixed time dH falls as h^order: halving h divides it by 2^order within 20 per cent."""
    action = gauge_action("wilson", 5.8)
    links = rough_links(generator, (2, 4, 2, 4), width=0.3)
    momenta = su3.random_algebra(links.shape[:-2], generator)
    steps = 8
    errors = [energy_error(name, 0.4 / n, n, action, links, momenta).item()
              for n in (steps, 2 * steps)]
    assert abs(errors[0] / errors[1]) == pytest.approx(2 ** INTEGRATORS[name].order, rel=0.2)


def test_displacement_of_wrong_sign_is_second_order(generator):
    """Negative control of the force gradient: with -1/24 the scheme is not of fourth order."""
    action = gauge_action("wilson", 5.8)
    links = rough_links(generator, (2, 4, 2, 4), width=0.3)
    momenta = su3.random_algebra(links.shape[:-2], generator)
    errors = []
    for n in (8, 16):
        plan = schedule("force_gradient", 0.4 / n, n)
        plan = Schedule(plan.kicks, plan.drifts, tuple(-g for g in plan.displacements))
        state = State(links, action(links), action.force(links))
        end = integrate(action, state, momenta, plan)
        errors.append((action(end.links) - state.action + su3.kinetic(end.momenta)
                       - su3.kinetic(momenta)).item())
    assert abs(errors[0] / errors[1]) < 6


@pytest.mark.parametrize("name", INTEGRATORS)
def test_reversibility(name, generator):
    action = gauge_action("symanzik", 4.0)
    links = rough_links(generator)
    momenta = su3.random_algebra(links.shape[:-2], generator)
    plan = schedule(name, 0.1, 3)
    there = integrate(action, State(links, action(links), action.force(links)), momenta, plan)
    back = integrate(action, State(there.links, None, there.force), -there.momenta, plan)
    assert (back.links - links).abs().max() < 1e-12
    assert (back.momenta + momenta).abs().max() < 1e-12


class CountingAction(Noiseless):
    """Counts the forces and remembers the fields they were asked for."""

    group = "su3"
    beta = 5.8

    def __init__(self):
        self.inner = gauge_action("wilson", 5.8)
        self.fields = []

    def __call__(self, links):
        return self.inner(links)

    def force(self, links):
        assert not any(torch.equal(links, old) for old in self.fields), "same field twice"
        self.fields.append(links.clone())
        return self.inner.force(links)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_one_force_per_distinct_field_also_across_trajectories(name, generator):
    action = CountingAction()
    kernel = HMC(action, 0.15, 2, name)
    state = kernel.init(rough_links(generator, (2, 2, 2, 4)))
    for expected_accept in (True, True, False, True):
        before = len(action.fields)
        used = kernel if expected_accept else HMC(action, 1.9, 2, name)
        state, info = used.step(state, generator)
        assert len(action.fields) - before == info.force_evaluations
        assert info.force_evaluations == force_evaluations(kernel.plan)
        assert torch.equal(state.force, action.inner.force(state.links))
        assert torch.equal(state.action, action.inner(state.links))


def test_nan_and_infinity_are_rejected_and_never_reach_the_chain(generator):
    links = hot_start((2, 2, 2, 2), generator, chains=4)
    action = gauge_action("wilson", 1.0)
    state = State(links, action(links), action.force(links))
    bad = State(links * torch.nan, state.action * torch.nan, state.force * torch.nan)
    ratios = torch.tensor([torch.nan, torch.inf, -torch.inf, torch.nan], dtype=torch.float64)
    new, accepted = markov.metropolis(state, bad, ratios, torch.zeros(4, dtype=torch.float64))
    assert not accepted.any()
    for fresh, old in zip(new[:3], state[:3], strict=True):
        assert torch.equal(fresh, old)
    assert new.level_actions is None and new.level_forces is None  # of nested steps alone


def test_metropolis_probability(generator):
    """Acceptance e^-1 within 4 standard errors at 20000 draws; flipping the sign must fail."""
    count = 20000
    state = State(torch.zeros(count, 1), torch.zeros(count), torch.zeros(count, 1))
    other = State(torch.ones(count, 1), torch.ones(count), torch.ones(count, 1))
    expected = float(torch.exp(torch.tensor(-1.0)))
    bound = 4 * (expected * (1 - expected) / count) ** 0.5
    for sign, right in ((-1.0, True), (1.0, False)):
        _, accepted = markov.metropolis(
            state, other, torch.full((count,), sign, dtype=torch.float64),
            markov.draw_uniform(count, generator)
        )
        assert (abs(accepted.double().mean().item() - expected) < bound) is right


def test_trajectories_replay_from_their_own_generator(generator):
    action = gauge_action("wilson", 5.8)
    kernel = HMC(action, 0.1, 2)
    links = rough_links(generator, (2, 2, 2, 4), chains=3)
    seeds = [markov.trajectory_generator(7, chain, 12) for chain in range(3)]
    together, _ = kernel.step(kernel.init(links), seeds)
    for chain in range(3):
        alone, _ = kernel.step(kernel.init(links[chain:chain + 1]),
                               [markov.trajectory_generator(7, chain, 12)])
        assert (alone.links - together.links[chain]).abs().max() < 1e-15


def test_trajectory_seeds_do_not_repeat():
    seen = {markov.trajectory_generator(3, chain, n).initial_seed()
            for chain in range(4) for n in range(500)}
    assert len(seen) == 2000


@pytest.mark.parametrize("size", (math.nan, math.inf, -math.inf, 0.0, "0.1", None))
def test_step_sizes_that_are_none_are_refused(size):
    with pytest.raises(ConfigError, match="step_size: expected a finite number other than 0"):
        HMC(ACTION, size, 2)
    if isinstance(size, float):
        with pytest.raises(ConfigError, match="step_size"):
            HMC(ACTION, 0.1, 2).scaled(size)


def test_a_step_size_may_be_a_tensor(generator):
    links = rough_links(generator)
    for size in (torch.tensor(0.125), np.float32(0.125)):
        one, other = (HMC(ACTION, each, 2).propose(links, torch.Generator().manual_seed(1))
                      for each in (size, 0.125))
        assert torch.equal(one[0], other[0])


def test_steps_are_counted_and_may_go_backwards(generator):
    for steps in (0, -1, 2.5, "2", None):
        with pytest.raises(ConfigError, match="steps: expected a whole number of at least 1"):
            HMC(ACTION, 0.1, steps)
    links = rough_links(generator)
    momenta = markov.draw_momenta(links, generator)
    there, back = HMC(ACTION, 0.1, np.int64(3)), HMC(ACTION, -0.1, 3)
    end = there.trajectory(there.init(links), momenta, generator)
    again = back.trajectory(back.init(end.links), end.momenta, generator)
    assert (again.links - links).abs().max() < 1e-12


def test_unknown_integrator_names_the_choices():
    with pytest.raises(ConfigError, match="leapfrog, omf2, omf4, force_gradient"):
        schedule("verlet", 0.1, 2)
    with pytest.raises(ConfigError, match="at least 1"):
        schedule("omf2", 0.1, 0)


def test_thermalisation_leaves_a_cold_start_and_no_sound_field(generator):
    """It takes nothing of what unstable steps propose, and then shorter ones, from cold links, too.
    """
    action, chance = gauge_action("wilson", 6.0), (lambda n: generator)
    cold = cold_start((4, 4, 4, 4), 2)
    assert energy_spread(cold, action) == 64.0
    warm = thermalise(HMC(action, 0.2, 5), cold, 12, chance)
    wild = HMC(action, 1.0, 4, "leapfrog")
    state = wild.init(warm)
    proposal, info = markov.propose(wild, state, generator)
    assert (-info.log_ratio > 1000).all() and fast.plaquettes(proposal.links).mean() < 0.2
    for links in (warm, thermalise(wild, warm, 8, chance), thermalise(wild, cold, 24, chance)):
        plaquettes = fast.plaquettes(links).mean(1)
        assert ((0.5 < plaquettes) & (plaquettes < 0.75)).all()
