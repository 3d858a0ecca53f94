"""A kernel in V = F^-1(U) and a host: its accept/reject, its force, its levels, GPT's update."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge.adapters.hosts import gpt
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import trajectory_draws
from l2hmc_bridge.sampling.host_action import HostAction, Hosted
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.systems.actions import GaugeAction
from tests.adapters.hosts.test_gpt import field, links_on
from tests.l2hmc.test_transformed import transformed
from tests.sampling.test_nested import level
from tests.support.fields import rough_links
from tests.support.standins import gpt_standin

BETA = 5.7
GAUGE = GaugeAction(BETA)


def draws():
    return trajectory_draws(5, [0, 0])


@pytest.fixture
def links(generator):
    return rough_links(generator, (4, 2, 4, 2), 2, 0.3)


@pytest.fixture
def kernel(generator):
    return transformed("kick", generator, action=GAUGE)


@torch.no_grad()
def test_a_hosted_kernel_moves_as_by_itself_and_comes_back(kernel, links):
    """S_host = 1.02 S: the proposal is the kernel's own, dS alone differs."""
    hosted = Hosted(kernel, HostAction(lambda u: GaugeAction(1.02 * BETA)(u)))
    moved, delta, info = hosted.propose(links, draws())
    alone, own, twin = kernel.propose(links, draws())
    assert torch.equal(moved, alone) and (info.log_det.abs() > 1e-2).all()
    assert torch.equal(info.delta_proposal, twin.delta_proposal)
    assert delta == pytest.approx((own + 0.02 * twin.delta_action).numpy(), rel=1e-9, abs=1e-7)
    # With the plain force of S where a trajectory begins it is no map that comes back.
    state, momenta = hosted.init(links), markov.draw_momenta(links, draws())
    for force, small in ((state.force, True), (GAUGE.force(links), False)):
        end = hosted.trajectory(state._replace(force=force), momenta, draws())
        back = hosted.trajectory(state._replace(links=end.links, force=end.force), -end.momenta,
                                 draws())
        apart = float((back.momenta + momenta).abs().max())
        assert apart < 1e-10 if small else apart > 1e-3


@torch.no_grad()
def test_the_force_of_a_host_goes_through_the_transformation(kernel, links):
    host = HostAction(GAUGE, lambda u: GAUGE.force(u).numpy(), beta=BETA)
    theirs, delta, info = replace(kernel, action=host).propose(links, draws())
    ours, own, _ = kernel.propose(links, draws())
    assert (theirs - ours).abs().max() < 1e-12
    assert delta == pytest.approx(own.numpy(), abs=1e-8)
    assert info.force_evaluations > 0


@torch.no_grad()
def test_levels_of_quarks_around_it_are_refused(kernel, links):
    """Their kicks belong to U, the momenta to V: dH does not fall with the steps, as it must."""
    quarks = level(plan=None)
    Nested(replace(kernel, transformation=None), (quarks,))
    for inner in (kernel, Hosted(kernel, HostAction(GAUGE))):
        with pytest.raises(ConfigError, match="found a field transformation or Hosted"):
            Nested(inner, (quarks,))


@pytest.mark.parametrize("own", [True, False], ids=["our action", "GPT's action"])
def test_gpts_update_takes_it(own):
    """A short trajectory is accepted with a small dH, by our action and by GPT's of the same S."""
    links = links_on((4, 4, 4, 4))
    made = FieldTransformation.constant(0.06)
    kernel = transformed("steps", torch.Generator().manual_seed(2), made=made, action=GAUGE)
    kernel = kernel.scaled(0.1)
    U, rng = field(gpt_standin, links), torch.Generator().manual_seed(6)
    update = gpt.l2hmc_update(kernel, rng)
    accepted, delta = update(U) if own else update(U, gpt_standin.qcd.gauge.action.wilson(BETA))
    assert accepted and abs(delta) < 0.3
    state, info = kernel.step(kernel.init(links), torch.Generator().manual_seed(6))
    assert (gpt.to_links(U) - state.links).abs().max() < 1e-12
    assert delta == pytest.approx(-float(info.log_ratio[0]), abs=1e-6)


def test_gpts_metropolis_takes_its_proposal():
    links, S = links_on((4, 4, 4, 4)), gpt_standin.qcd.gauge.action.wilson(BETA)
    kernel = transformed("kick", torch.Generator().manual_seed(2), action=GAUGE).scaled(0.2)
    U = field(gpt_standin, links)
    before = S(U)
    correction = gpt.l2hmc_proposal(kernel, torch.Generator().manual_seed(5))(U)
    _, expected, _ = kernel.propose(links, torch.Generator().manual_seed(5))
    assert correction + S(U) - before == pytest.approx(float(expected[0]), abs=1e-6)
