"""A kernel in V = F^-1(U): the transformed action's force, reversibility, Jacobian, averages."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate
from l2hmc_bridge.errors import LayoutError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import laws
from l2hmc_bridge.l2hmc.compiled import CompiledEngine
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.l2hmc.transformed import Guide, TransformedAction, TransformedEngine
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.mixture import Mixture
from l2hmc_bridge.systems.actions import GaugeAction, gauge_action, hot_start
from tests.l2hmc.test_kernel import make_kernel, phase_point
from tests.support.fields import rough_links
from tests.support.transformations import random_transformation

ACTIONS = (gauge_action("wilson", 5.8), gauge_action("iwasaki", 2.6))
LATTICE = (4, 2, 4, 2)


def transformed(kind, generator, composition="palindrome", made=None, **others):
    """A kernel with random parts of this kind, and a transformation."""
    kernel = make_kernel(kind, generator, composition=composition, **others)
    return replace(kernel, transformation=made or random_transformation(generator))


def slope(action, links, direction, h=2e-4):
    """d/dh S(exp(h X) V) by central differences of fourth order, [Nb]."""
    def at(size):
        return action(su3.exp(size * direction) @ links)

    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


@torch.no_grad()
@pytest.mark.parametrize("serving", ["auto", "torch"])
@pytest.mark.parametrize("action", ACTIONS, ids=lambda one: one.name)
def test_the_force_is_that_of_the_transformed_action(action, serving, generator):
    links = rough_links(generator, LATTICE, 2, 0.4)
    moving = TransformedAction(action, random_transformation(generator, 4, 2))
    direction = su3.random_algebra(links.shape[:-2], generator)
    with fast.using(serving):
        force = moving.force(links)
        expected = slope(moving, links, direction)
    found = su3.inner(direction, force).flatten(1).sum(1)
    assert float((found - expected).abs().max()) < 1e-7 * float(expected.abs().max())
    plain = su3.inner(direction, action.force(links)).flatten(1).sum(1)  # not that of S itself
    assert float((plain - expected).abs().min()) > 1e-2


@pytest.mark.parametrize("composition", ["palindrome", "direction"])
@pytest.mark.parametrize("kind", ["steps", "kick", "drift", "mixing", "all"])
def test_phi_and_its_inverse(kind, composition, generator):
    kernel = transformed(kind, generator, composition)
    links, momenta = phase_point(generator, LATTICE, 2)
    for pair in ((laws.forward_map(kernel), laws.inverse_map(kernel)),
                 (laws.inverse_map(kernel), laws.forward_map(kernel))):
        defects = laws.round_trip(*pair, links, momenta)
        assert max(defects[:2]) < 1e-12 and defects[2] < 1e-9
    with torch.no_grad():
        state = kernel.init(links)
        back = kernel.there_and_back(state, momenta, torch.Generator().manual_seed(2))
    assert float((back - links).abs().max()) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["steps", "all"])
def test_log_det_of_a_proposal_is_that_of_the_dense_jacobian(kind, generator):
    """1024 x 1024 on 2^4, F and its inverse, kicks and drifts together."""
    kernel = transformed(kind, generator)
    links, momenta = phase_point(generator, (2, 2, 2, 2))
    assert laws.jacobian_defect(laws.forward_map(kernel), links, momenta) < 1e-7


def test_covariance_and_translation(generator):
    kernel = transformed("all", generator)
    links, momenta = phase_point(generator, (4, 2, 6, 2))
    phi = laws.forward_map(kernel)
    assert laws.covariance_defect(phi, links, momenta, generator) < 1e-10
    for mu in range(4):
        assert laws.translation_defect(phi, links, momenta, mu, 2) < 1e-10


@torch.no_grad()
def test_the_state_carries_what_the_guide_says(generator):
    """Force and action after steps are as computed anew; the log ratio is that in V."""
    kernel = transformed("kick", generator)
    links, momenta = phase_point(generator, LATTICE, 2)
    state = kernel.init(links)
    assert isinstance(kernel.guide, Guide) and torch.equal(state.action, kernel.action(links))
    for _ in range(3):
        state, info = kernel.step(state, generator)
        assert float((state.action - kernel.action(state.links)).abs().max()) < 1e-9
        assert float((state.force - kernel.guide.force(state.links)).abs().max()) < 1e-11
        assert float(su3.unitarity_defect(state.links).max()) < 1e-13
    _, info = kernel.moved(state, momenta, generator)
    within, start = kernel.within(), kernel.transformation.inverse(state.links, 5.8)[0]
    _, same = within.moved(within.init(start), momenta, generator)
    assert float((info.log_ratio - same.log_ratio).abs().max()) < 1e-8
    assert float((info.delta_action - same.delta_action).abs().max()) > 1e-2  # S and S~ differ


def test_without_it_nothing_changes(generator):
    kernel = make_kernel("all", generator)
    assert kernel.within() is kernel and kernel.guide is kernel.action
    links, momenta = phase_point(generator, LATTICE)
    zero = replace(kernel, transformation=FieldTransformation())
    with torch.no_grad():
        one, other = (k.trajectory(k.init(links), momenta, generator) for k in (kernel, zero))
    assert float((one.links - other.links).abs().max()) < 1e-12
    assert float((one.log_det - other.log_det).abs().max()) < 1e-9


@torch.no_grad()
def plaquettes(kernel, links, steps, skip):
    """[chains, steps - skip] plaquettes, and exp(log ratio)."""
    generator, state, rows, weights = torch.Generator().manual_seed(4), kernel.init(links), [], []
    for _ in range(steps):
        state, info = kernel.step(state, generator)
        rows.append(fast.plaquettes(state.links).mean(1))
        weights.append(info.log_ratio.exp())
    return torch.stack(rows, 1)[:, skip:].numpy(), torch.stack(weights, 1)[:, skip:].numpy()


def strong(rho):
    """A kernel of known average: beta = 1 on 4^4, where S alone would accept almost all."""
    kernel = make_kernel("steps", step=0.35, steps=2, action=GaugeAction(1.0))
    return replace(kernel, transformation=FieldTransformation.constant(rho))


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [False, True])
def test_plaquette_and_weights_at_strong_coupling(mixed):
    """0.0601266 at beta = 1, alone and beside the heat bath; <exp(-dH + log|J|)> = 1."""
    kernel = strong(0.08)
    whole = Mixture([(kernel, 1), (HeatBath(GaugeAction(1.0), 1, 0), 1)]) if mixed else kernel
    links = hot_start((4, 4, 4, 4), torch.Generator().manual_seed(3), 8)
    found, weights = plaquettes(whole, links, 60, 10)
    mean, weight = estimate(found), estimate(weights)
    assert abs(mean.value - 0.0601266) < 4 * mean.error < 4e-3
    assert abs(weight.value - 1) < 4 * weight.error < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0, -1])
def test_a_lost_log_det_and_its_wrong_sign_show(factor, monkeypatch):
    """<exp(-dH + log|J|)> is then far from 1."""
    end = TransformedEngine.leave

    def leave(self):
        found = end(self)
        return found._replace(log_det=factor * found.log_det)

    monkeypatch.setattr(TransformedEngine, "leave", leave)
    links = hot_start((4, 4, 4, 4), torch.Generator().manual_seed(3), 4)
    _, weights = plaquettes(strong(0.08), links, 20, 5)
    assert abs(weights.mean() - 1) > 0.5


def test_the_engine_of_plain_links_does_not_serve_it(generator):
    """It would run Phi in U and leave F out; what runs in V it serves."""
    kernel, links = strong(0.08), rough_links(generator, (2, 2, 2, 2))
    plain = replace(kernel, transformation=None)
    with torch.no_grad():
        assert not CompiledEngine.serves(kernel, links)
        for served in (plain, kernel.within()):
            assert CompiledEngine.serves(served, links) == fast.compiled(links)


@torch.no_grad()
@pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
@pytest.mark.parametrize("action", ACTIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("kind", ["steps", "kick", "drift", "mixing", "all"])
def test_both_engines_go_the_same_way_in_v(kind, action, generator):
    kernel = transformed(kind, generator, action=action).within()
    links, momenta = phase_point(generator, LATTICE, 2)
    force = kernel.action.force(links)
    ends = []
    for engine in (CompiledEngine, TorchEngine):
        at = engine.enter(kernel, links, momenta, force)
        kernel.palindrome(at)
        ends.append(at.leave())
    one, other = ends
    for name in ("links", "momenta", "log_det", "force"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=1e-10)
    assert one.force_evaluations == other.force_evaluations


def test_an_odd_lattice_is_refused(generator):
    kernel = transformed("steps", generator)
    with pytest.raises(LayoutError, match="field transformation, found an odd one"):
        kernel.init(rough_links(generator, (2, 3, 2, 2)))


@pytest.mark.slow
def test_gradients_of_a_proposal_reach_every_weight(generator):
    """d log ratio / d theta against central differences: through F, its inverse and the forces."""
    kernel = transformed("steps", generator, made=random_transformation(generator, 2))
    links, momenta = phase_point(generator, (2, 2, 2, 2))
    chance = torch.Generator().manual_seed(1)

    def value():
        state = markov.state_at(kernel, links)
        return kernel.moved(state, momenta, chance)[1].log_ratio.sum()

    parameters = [*kernel.transformation.parameters(), kernel.steps.drifts]
    slopes = torch.autograd.grad(value(), parameters)
    for parameter, found in zip(parameters, slopes, strict=True):
        flat, ends = parameter.detach().view(-1), []
        for move in (1e-5, -2e-5):
            flat[0] += move
            with torch.no_grad(), fast.using("auto"):
                ends.append(float(value()))
        flat[0] += 1e-5
        difference = (ends[0] - ends[1]) / 2e-5
        assert float(found.flatten()[0]) == pytest.approx(difference, rel=1e-4, abs=1e-6)
