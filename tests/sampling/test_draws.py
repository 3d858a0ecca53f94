"""Generators: one for all chains, or a list with one for each and no other number of them."""

import pytest
import torch

import l2hmc_bridge as lb
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling.draws import (
    PerChain,
    draw_momenta,
    draw_normal,
    draw_uniform,
    draws_of,
    trajectory_draws,
    trajectory_generator,
)
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.systems.actions import GaugeAction, U1Action
from l2hmc_bridge.systems.groups import GROUPS
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links

CHAINS, ACTION, U1 = 3, GaugeAction(6.0), U1Action(2.0)
LEARNED = make_kernel("all", torch.Generator().manual_seed(3), steps=1, action=ACTION)
KERNELS = {
    "hmc": HMC(ACTION, 0.1, 2),
    "l2hmc": LEARNED,
    "directions": make_kernel("all", torch.Generator().manual_seed(3), steps=1, action=ACTION,
                              composition="direction"),
    "hosted": lb.Hosted(LEARNED, lb.HostAction(ACTION)),
    "cycle": lb.Mixture([(HMC(ACTION, 0.1, 2), 1), (LEARNED, 1)]),
    "random": lb.Mixture([(HMC(ACTION, 0.1, 2), 1), (LEARNED, 1)], "random"),
    "heatbath": HeatBath(ACTION),
    "u1": HMC(U1, 0.1, 2),
}


def generators(count):
    return [trajectory_generator(1, chain, 1) for chain in range(count)]


def start(name, generator):
    if name == "u1":
        return 0.1 * torch.randn(CHAINS, 2, 4, 4, generator=generator, dtype=torch.float64)
    return rough_links(generator, (2, 2, 4, 2), CHAINS)


@pytest.mark.parametrize("count", (0, 1, 2, 5))
@pytest.mark.parametrize("name", KERNELS)
def test_too_few_and_too_many_generators_are_refused(name, count, generator):
    links, kernel = start(name, generator), KERNELS[name]
    state = kernel.init(links)
    found = f"expected .*one for each .*chain.*, found {count or 'an empty list'}"
    with pytest.raises(ConfigError, match=found):
        kernel.step(state, generators(count))
    if name not in ("heatbath", "cycle", "random"):
        with pytest.raises(ConfigError, match=found):
            kernel.propose(links, tuple(generators(count)))
    kernel.step(state, generators(CHAINS))


@pytest.mark.parametrize("draws", (
    PerChain(tuple(generators(2))), trajectory_draws(1, [4, 4]), numbered(1, [4, 4])),
    ids=lambda draws: type(draws).__name__)
def test_nothing_is_drawn_for_other_chains(draws, generator):
    links = rough_links(generator, (2, 2, 2, 2), CHAINS)
    for draw in (lambda: draw_momenta(links, draws), lambda: draw_uniform(CHAINS, draws),
                 lambda: draw_momenta(links[..., 0, 0].real, draws, GROUPS["u1"]),
                 lambda: draw_normal(CHAINS, (4,), draws), lambda: draws.words(1, 1)):
        with pytest.raises(ConfigError, match=r"one for each of [13] chain\(s\), found 2"):
            draw()
    assert draw_momenta(links[:2], draws).shape == links[:2].shape
    assert draws.of([0]).uniform(1).shape == (1,)


@pytest.mark.parametrize("source", (5, None, [], [None], [1, 2]))
def test_what_draws_nothing_is_refused(source):
    with pytest.raises(ConfigError, match=r"expected a torch.Generator, or a list .*, found"):
        draws_of(source)


@pytest.mark.parametrize("chain, number", ((1024, 1), (-1, 1), (0, 2**22), (0, -1)))
def test_generators_do_not_come_round_to_those_of_others(chain, number):
    with pytest.raises(ConfigError, match="expected a (chain|trajectory) from 0 to"):
        trajectory_generator(1, chain, number)
    trajectory_generator(1, 1023, 2**22 - 1)
