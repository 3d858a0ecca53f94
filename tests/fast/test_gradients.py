"""Analytic gradients over the kernels: gradcheck, torch's autograd, and whole trajectories."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import library as native
from l2hmc_bridge.fields import su3
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.planted import run

pytestmark = pytest.mark.skipif(native.library() is None, reason="no compiled kernels here")

differentiable = fast.BACKENDS["cpu with gradients"]
SMALL = (2, 1, 3, 1)
LATTICES = ((2, 4, 3, 6), (3, 5, 3, 1), (4, 2, 2, 2))


def fields(extents, chains, generator):
    shape = (chains, 4, *extents)
    links, field, weights = (su3.random_group(shape, generator),
                             *(su3.random_algebra(shape, generator) for _ in range(2)))
    return links, field, weights


def scalars(shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def near(components, links):
    """exp(x) U: every field that a group-valued calculation can reach."""
    return su3.exp(su3.from_components(components)) @ links


def contract(result, weights):
    return (torch.view_as_real(result) * torch.view_as_real(weights)).flatten(1).sum(1)


def frozen(square, moved, w):
    """A number of both features that depends on each of them."""
    both = square * (su3.inner(w, w)[:, 0] + su3.inner(moved, w[:, 1]))
    return both.flatten(1).sum(1)


CASES = {
    "action": lambda m, u, x, w, s: m.action(u, 5.7, -0.3),
    "force": lambda m, u, x, w, s: contract(m.force(u, 5.7), w),
    "force with rectangles": lambda m, u, x, w, s: contract(m.force(u, 5.7, -0.3), w),
    "exponential": lambda m, u, x, w, s: contract(m.expm_multiply(x, u, s[0, 0].abs()), w @ w),
    "exponential of large": lambda m, u, x, w, s: contract(m.expm_multiply(x, u, 5 + s[0, 0]), w),
    "staple trace": lambda m, u, x, w, s: (m.staple_trace(u) * s[:, :1, None, None, None, None]
                                           * su3.inner(w, w)).flatten(1).sum(1),
    "loop square": lambda m, u, x, w, s: contract(m.loop_square(u), w),
    "laplacian": lambda m, u, x, w, s: contract(m.laplacian(u, x), w),
    "transverse laplacian": lambda m, u, x, w, s: contract(m.laplacian(u, x, True), w),
    "one direction": lambda m, u, x, w, s: contract(m.transport_laplacian(u, x[:, 1], 1), w[:, 1]),
    "frozen features": lambda m, u, x, w, s: frozen(*m.frozen_features(u, x[:, 2], 2), w),
    "clover": lambda m, u, x, w, s: (m.clover(u) * s).sum(1),
    "clover with trace": lambda m, u, x, w, s: (m.clover(u, False) * s).sum(1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_gradcheck(name, generator):
    links, _, weights = fields(SMALL, 1, generator)
    x, y = (0.3 * scalars((*links.shape[:-2], 8), generator) for _ in range(2))
    s = scalars((1, 3), generator)

    def function(x, y, s):
        return CASES[name](differentiable, near(x, links), su3.from_components(y), weights, s)

    inputs = [one.requires_grad_() for one in (x, y, s)]
    assert torch.autograd.gradcheck(function, inputs, eps=1e-5, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("extents", LATTICES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_gradients_along_the_group_agree_with_torch(name, extents, generator):
    links, field, weights = fields(extents, 2, generator)
    s = scalars((2, 3), generator)
    found, expected = [], []
    for module, out in ((differentiable, found), (reference, expected)):
        u, x, t = (one.clone().requires_grad_() for one in (links, field, s))
        value = (CASES[name](module, u, x, weights, t) * torch.tensor([1.0, -0.3])).sum()
        to_u, to_x, to_s = torch.autograd.grad(value, (u, x, t), allow_unused=True)
        out.append(su3.project_algebra(to_u @ links.mH))
        out += [] if to_x is None else [su3.project_algebra(to_x)]
        out += [] if to_s is None else [to_s]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < 1e-12


def test_second_derivatives_are_refused(generator):
    links, field, weights = fields(SMALL, 1, generator)
    leaf = links.requires_grad_()
    for value in (CASES[name](differentiable, leaf, field, weights, torch.ones(1, 3))
                  for name in CASES):
        with pytest.raises(ActionError, match="second derivatives"):
            torch.autograd.grad(value.sum(), leaf, create_graph=True)


@pytest.mark.slow
@pytest.mark.parametrize("parts", ("steps", "loops", "all"))
def test_training_gradients_of_a_whole_proposal(parts, generator):
    links = su3.random_group((2, 4, 2, 2, 4, 2), generator)
    momenta = su3.random_algebra((2, 4, 2, 2, 4, 2), generator)
    steps = Steps(schedule("force_gradient", 0.1, 2))
    network = KickNetwork(len(steps.kicks), loops=("laplacian", "rectangle"))
    kernel = L2HMC(GaugeAction(5.7, -1 / 12), steps, None if parts == "steps" else network, None,
                   MomentumMixing() if parts == "all" else None)
    trained = [p for part in (steps, kernel.kick_network, kernel.mixing) if part is not None
               for p in part.parameters()]
    with torch.no_grad():
        for p in trained:
            p.add_(0.02 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    gradients = []
    for choice in ("auto", "torch"):
        with fast.using(choice):
            end = run(kernel, kernel.palindrome, links, momenta)
            energy = kernel.action(end.links) + fast.kinetic(end.momenta) - end.log_det
            value = (energy * fast.clover(end.links)[:, 2]).sum()
            gradients.append(torch.autograd.grad(value, trained))
    for one, other in zip(*gradients, strict=True):
        assert float((one - other).abs().max()) < 1e-10 * (1 + float(other.abs().max()))


def test_one_of_two_features_may_be_all_that_is_wanted(generator):
    links, field, _ = fields((3, 5, 3, 1), 2, generator)
    for which in (0, 1):
        found = []
        for module in (differentiable, reference):
            leaf = links.clone().requires_grad_()
            one = module.frozen_features(leaf, field[:, 2], 2)[which]
            weights = torch.arange(one.numel()).reshape(one.shape).cos()
            gradient, = torch.autograd.grad((one * weights).sum().real, leaf)
            found.append(su3.project_algebra(gradient @ links.mH))
        assert float((found[0] - found[1]).abs().max() / found[1].abs().max()) < 1e-12


def test_a_second_way_back_is_refused_and_the_first_lets_go_of_the_fields(generator):
    links, field, _ = fields((2, 2, 2, 2), 1, generator)
    leaf = links.clone().requires_grad_()
    for one in (differentiable.force(leaf, 5.7), differentiable.laplacian(leaf, field),
                differentiable.clover(leaf)):
        value = torch.view_as_real(one).sum() if one.is_complex() else one.sum()
        value.backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            value.backward()


def test_gradients_that_lie_otherwise_in_memory(generator):
    """Transposed, expanded and conjugated ones, of two chains."""
    links, field, weights = fields((2, 3, 1, 5), 2, generator)
    numbers = scalars((3, 2), generator)
    found = []
    for module in (differentiable, reference):
        leaf = links.clone().requires_grad_()
        value = (module.clover(leaf).T * numbers).sum()
        value = value + module.action(leaf, 5.7).expand(3, 2).sum()
        value = value + (module.force(leaf, 5.7).conj() * weights).real.sum()
        value = value + (module.laplacian(leaf, field).mT * weights.mT).real.sum()
        gradient, = torch.autograd.grad(value, leaf)
        found.append(su3.project_algebra(gradient @ links.mH))
    assert float((found[0] - found[1]).abs().max() / found[1].abs().max()) < 1e-12
