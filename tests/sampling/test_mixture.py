"""Mixtures of kernels: turns, exactness, statistics of each kind, and a drift that is noticed."""

import math

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate
from l2hmc_bridge.errors import ActionError, ConfigError, StatisticsError
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.host_action import HostAction, Hosted
from l2hmc_bridge.sampling.mixture import CHOICES, Mixture
from l2hmc_bridge.sampling.watch import Drift
from l2hmc_bridge.systems.actions import GaugeAction, hot_start
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links

EXACT, CHAINS = 0.0601266, 16  # plaquette of SU(3) at beta = 1 on 4^4
ACTION = GaugeAction(1.0)


def learned(action=ACTION, step=0.5):
    """A kernel with a live kick network, weights small enough to accept."""
    kernel = make_kernel("kick", step=step, action=action)
    with torch.no_grad():
        kernel.kick_network.bias.normal_(
            0, 0.02, generator=torch.Generator().manual_seed(1))
    return kernel


class TakesAll:
    """Planted: a kernel without accept/reject, steps far too long."""

    def __init__(self, kernel):
        self.inner, self.action, self.length = kernel, kernel.action, kernel.length
        self.init, self.guide = kernel.init, kernel.guide

    def step(self, state, generator):
        proposal, info = markov.propose(self.inner, state, generator)
        return proposal, info._replace(accepted=torch.ones_like(info.accepted))


@pytest.fixture(scope="module")
def equilibrium():
    generator = torch.Generator().manual_seed(3)
    kernel = HMC(ACTION, 0.5, 3)
    state = kernel.init(hot_start((4, 4, 4, 4), generator, CHAINS))
    for _ in range(12):
        state, _ = kernel.step(state, generator)
    return state.links


def run(kernel, links, steps, seed=4):
    """Plaquettes [chains, steps]."""
    generator, state, rows = torch.Generator().manual_seed(seed), kernel.init(links), []
    for _ in range(steps):
        state, _ = kernel.step(state, generator)
        rows.append(fast.plaquettes(state.links).mean(1))
    return torch.stack(rows, 1).numpy()


def test_the_cycle_takes_turns_and_is_the_product_of_its_parts(generator):
    links = rough_links(generator, (2, 4, 2, 2), 2)
    hmc, other = HMC(ACTION, 0.2, 2), HMC(ACTION, 0.1, 3, "leapfrog")
    mixture, one = Mixture([(hmc, 3), (other, 1)]), torch.Generator().manual_seed(9)
    state = mixture.init(links)
    for _ in range(8):
        state, _ = mixture.step(state, one)
    two, by_hand = torch.Generator().manual_seed(9), hmc.init(links)
    for kernel in 2 * (hmc, hmc, hmc, other):
        by_hand, _ = kernel.step(by_hand, two)
    assert torch.equal(state.links, by_hand.links)
    usage = mixture.usage()
    assert (usage["hmc"].updates, usage["hmc_2"].updates) == (12, 4)
    assert mixture.length == pytest.approx((3 * 0.4 + 0.3) / 4)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["cycle", "random"])
def test_a_mixture_is_exact_and_tells_its_parts_apart(equilibrium, choice):
    drift = Drift()
    kernel = Mixture([(HMC(ACTION, 0.5, 3), 1), (learned(), 1)], choice, watch={"l2hmc": drift})
    mean = estimate(run(kernel, equilibrium, 130))
    assert mean.error < 6e-4 and abs(mean.value - EXACT) < 4 * mean.error
    for name, usage in kernel.usage().items():
        assert usage.bad == 0 and 0.5 < usage.acceptance <= 1, name
        weight = usage.exp_minus_dh
        assert weight.error < 0.05 and abs(weight.value - 1) < 4 * weight.error, name
        assert usage.delta_h.value > -4 * usage.delta_h.error
    assert sum(usage.updates for usage in kernel.usage().values()) == 130 * CHAINS
    assert 0 < drift.estimates()["plaquette"].error < 5e-4
    assert kernel.warnings() == []
    drift.require()


@pytest.mark.slow
def test_a_drift_is_noticed(equilibrium):
    """Planted: the second part takes every proposal of a trajectory with steps too long."""
    kernel = Mixture([(HMC(ACTION, 0.5, 3), 1), (TakesAll(HMC(ACTION, 1.1, 2, "leapfrog")), 1)],
                     names=["hmc", "l2hmc"], watch={"l2hmc": Drift()})
    run(kernel, equilibrium, 120)
    assert len(kernel.warnings()) == 1 and kernel.warnings()[0].startswith("l2hmc: plaquette")
    with pytest.raises(StatisticsError, match="not exact"):
        kernel.watch["l2hmc"].require()


def test_a_change_that_is_always_the_same_is_a_drift():
    for change, count in ((1.0, 1), (0.0, 0)):
        drift = Drift({"charge": lambda values: values})
        for number in range(50):
            before = torch.tensor([float(number)]).double()
            drift.record(drift.measure(before), before + change)
        assert len(drift.warnings()) == count
        assert all("constant series" in sentence for sentence in drift.warnings())


def test_a_few_updates_are_no_drift_whatever_the_minimum():
    """Nothing is said before there is an error to compare with."""
    drift, noise = Drift({"charge": lambda values: values}, minimum=3), torch.Generator()
    for number in range(30):
        before = torch.zeros(1).double()
        change = torch.randn(1, generator=noise.manual_seed(number)).double()
        drift.record(drift.measure(before), before + 2 + change)
        assert len(drift.warnings()) == (number >= 19), number


def test_a_scaled_mixture_starts_its_statistics_anew(generator):
    links, drift = rough_links(generator, (2, 4, 2, 2)), Drift(sigmas=3.0, minimum=7)
    mixture = Mixture([(HMC(ACTION, 0.2, 2), 1)], watch={"hmc": drift})
    scaled = mixture.scaled(0.5)
    scaled.step(scaled.init(links), generator)
    assert drift.differences == {} and mixture.usage()["hmc"].updates == 0
    own = scaled.watch["hmc"]
    assert len(own.differences["plaquette"][0]) == 1 and (own.sigmas, own.minimum) == (3.0, 7)
    assert scaled.length == pytest.approx(0.2)


def test_random_choice_is_that_of_each_chains_own_generator(generator):
    """The trajectory of a chain is the same alone and beside another."""
    links = rough_links(generator, (2, 4, 2, 2), 3)
    kernel = Mixture([(HMC(ACTION, 0.2, 2), 1), (HMC(ACTION, 0.3, 1), 1)], "random")

    def last(fields, seeds):
        generators, state = [torch.Generator().manual_seed(s) for s in seeds], kernel.init(fields)
        for _ in range(6):
            state, info = kernel.step(state, generators)
        assert torch.equal(state.action, ACTION(state.links))
        return state.links, info

    together, info = last(links, (1, 2, 3))
    alone, alone_info = last(links[1:2], (2,))
    assert (together[1:2] - alone).abs().max() < 1e-13
    assert info.log_ratio[1] == pytest.approx(float(alone_info.log_ratio[0]), abs=1e-9)
    counts = {name: usage.updates for name, usage in kernel.usage().items()}
    assert sum(counts.values()) == 4 * 6 and min(counts.values()) > 2


def test_parts_with_different_forces_do_not_share_one(generator):
    """A Hosted part keeps the force of its guide: State must not carry it to the next."""
    links, host = rough_links(generator, (2, 4, 2, 2)), HostAction(ACTION, ACTION.force)
    hmc = HMC(host, 0.2, 2)
    hosted = Hosted(HMC(GaugeAction(1.2), 0.2, 2), host)
    mixture, one = Mixture([(hmc, 1), (hosted, 1)]), torch.Generator().manual_seed(9)
    state = mixture.init(links)
    two, by_hand = torch.Generator().manual_seed(9), links
    for kernel in (hmc, hosted, hmc, hosted):
        state, _ = mixture.step(state, one)
        by_hand = kernel.step(kernel.init(by_hand), two)[0].links
    assert torch.equal(state.links, by_hand)
    assert list(mixture.usage()) == ["hmc", "hmc_2"]


def test_a_host_may_accept_the_proposals_of_a_mixture(generator):
    links = rough_links(generator, (2, 4, 2, 2))
    first, second = HMC(ACTION, 0.2, 2), HMC(ACTION, 0.1, 1)
    mixture = Mixture([(first, 1), (second, 1)])
    for kernel in (first, second, first):
        moved, _, _ = mixture.propose(links, torch.Generator().manual_seed(1))
        assert torch.equal(moved, kernel.propose(links, torch.Generator().manual_seed(1))[0])


@pytest.mark.parametrize("choice", CHOICES)
def test_a_heat_bath_in_a_mixture_has_nothing_to_propose(choice, generator):
    links, bath = rough_links(generator, (2, 4, 2, 2)), HeatBath(ACTION)
    for parts in ([(bath, 1)], [(HMC(ACTION, 0.2, 2), 3), (bath, 1)]):
        mixture = Mixture(parts, choice)
        with pytest.raises(ActionError, match="parts that propose, found 'heatbath'.*use step"):
            mixture.propose(links, generator)
        assert mixture.position == 0
        mixture.step(mixture.init(links), generator)


def test_bad_mixtures_are_named():
    hmc = HMC(ACTION, 0.1, 1)
    for parts in ([], [(hmc, 0)], [(hmc, 0.5)]):
        with pytest.raises(ConfigError, match="weights"):
            Mixture(parts)
    with pytest.raises(ConfigError, match="cycle, random"):
        Mixture([(hmc, 1)], "sometimes")
    with pytest.raises(ConfigError, match="different names"):
        Mixture([(hmc, 1), (hmc, 1)], names=["a", "a"])
    with pytest.raises(ConfigError, match="l2hmc"):
        Mixture([(hmc, 1)], watch={"l2hmc": Drift()})
    with pytest.raises(ActionError, match="one action"):
        Mixture([(hmc, 1), (HMC(GaugeAction(2.0), 0.1, 1), 1)])
    assert math.isnan(Mixture([(hmc, 1)]).usage()["hmc"].acceptance)
