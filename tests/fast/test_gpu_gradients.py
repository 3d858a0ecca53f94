"""Gradients on a GPU: the kernels in Triton's interpreter against torch, and who is trusted."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast import recorded, reference
from l2hmc_bridge.fast.cpu import library as native
from l2hmc_bridge.fast.cpu.differentiated import BlockedLinks, CompiledKernels
from l2hmc_bridge.fast.gpu.gradients import trials
from l2hmc_bridge.fast.gradients import Gradients
from l2hmc_bridge.fields import su3
from tests.support.interpreter import interpreted, needs_triton

needs_kernels = pytest.mark.skipif(native.library() is None, reason="no compiled kernels here")

START = """
import functools, sys, torch
from l2hmc_bridge.fast.gpu.gradients import differentiated, trials
from l2hmc_bridge.fields import su3
differentiated.agrees = lambda *_: True
kernels = differentiated.TritonKernels()

def fields(shape, dtype=torch.complex128):
    generator = torch.Generator().manual_seed(sum(shape))
    return (su3.random_group(shape, generator).to(dtype),
            su3.random_algebra(shape, generator).to(dtype))
"""

AGREEMENT = START + """
name = sys.argv[1]
ours, theirs = trials.TRIALS[name]
for dtype, bound, extents in (
        (torch.complex128, 1e-14, (2, 3, 1, 5)), (torch.complex128, 1e-14, (3, 2, 4, 2)),
        (torch.complex64, 4e-6, (2, 2, 3, 1))):
    u, p = fields((2, 4, *extents), dtype)
    found = trials.with_gradient(functools.partial(ours, kernels), u, p)
    expected = trials.with_gradient(theirs, u, p)
    difference = float((found - expected).abs().max())
    print(name, dtype, extents, difference)
    if not difference < bound:
        raise SystemExit(name)
"""

# From 1e-310 to a norm of a thousand, two equal eigenvalues, and a step that turns many times.
EXPONENTIALS = START + """
from l2hmc_bridge.fast import reference
u, p = fields((40,))
g = torch.randn(40, 3, 3, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
g = torch.view_as_complex(g)
eight = torch.zeros(8, dtype=torch.float64)
eight[7] = 3.0
p[5] = su3.from_components(eight)
sizes = torch.ones(40, dtype=torch.float64)
sizes[:5] = torch.tensor([1e-310, 0.0, 1e-9, 7.0, 30.0])
p = 2.0 * p * sizes.to(p.dtype)[:, None, None]
p_leaf, u_leaf = p.clone().requires_grad_(), u.clone().requires_grad_()
value = (g.conj() * reference.expm_multiply(p_leaf, u_leaf, 0.5)).real.sum()
exact = torch.autograd.grad(value, (p_leaf, u_leaf))
found = kernels.expm_multiply_pullback(p, u, g, 0.5)
for one, other, back in zip(found, exact, (None, u)):
    along = [su3.project_algebra(x if back is None else x @ back.mH) for x in (one, other)]
    wrong = (along[0] - along[1]).abs().amax((1, 2)) / along[1].abs().amax((1, 2))
    print(float(wrong.max()), int(wrong.argmax()))
    if not float((wrong / (1 + sizes)).max()) < 1e-14:
        raise SystemExit(str(wrong))
"""

# A training step of a whole proposal: every function that networks ask for, and what they are
# worth together.
PROPOSAL = START + """
from l2hmc_bridge import fast
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.planted import run

u, p = fields((1, 4, 2, 2, 1, 2))
steps = Steps(schedule("leapfrog", 0.1, 1))
kicks = KickNetwork(len(steps.kicks), loops=("laplacian", "square"))
kernel = L2HMC(GaugeAction(5.7), steps, kicks,
               DriftNetwork(len(steps.drifts), outputs=("q", "t")), MomentumMixing())
trained = [one for part in (steps, kernel.kick_network, kernel.drift_network, kernel.mixing)
           for one in part.parameters()]
generator = torch.Generator().manual_seed(8)
with torch.no_grad():
    for one in trained:
        one.add_(0.02 * torch.randn(one.shape, generator=generator, dtype=torch.float64))
backend, used = fast.backend, set()
ours = fast.BACKENDS["cuda with gradients"]

class Seen:
    def __getattr__(self, name):
        used.add(name)
        return getattr(ours, name)

def gradient():
    end = run(kernel, kernel.palindrome, u, p)
    energy = kernel.action(end.links) + fast.kinetic(end.momenta) - end.log_det
    value = (energy * fast.clover(end.links)[:, 2]).sum()
    found = torch.autograd.grad(value, trained, allow_unused=True)
    return torch.cat([one.flatten() for one in found if one is not None])

with fast.using("torch"):
    expected = gradient()
fast.backend = lambda *given: Seen() if backend(*given) is fast.BACKENDS[
    "cpu with gradients"] else backend(*given)
found = gradient()
print(found.numel(), float((found - expected).abs().max()), float(expected.abs().max()))
if not float((found - expected).abs().max()) < 1e-10 * (1 + float(expected.abs().max())):
    raise SystemExit(f"{found} and not {expected}")
print(sorted(used))
if not used >= {"action", "clover", "expm_multiply", "force", "frozen_features", "kinetic",
                "laplacian", "loop_square", "staple_trace"}:
    raise SystemExit(f"only {used} were asked for")
"""


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("name", trials.TRIALS)
def test_kernels_and_their_gradients_in_the_interpreter(name):
    interpreted(AGREEMENT.replace("sys.argv[1]", repr(name)))


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("program", (EXPONENTIALS, PROPOSAL), ids=("exponentials", "proposal"))
def test_gradients_of_all_sizes_and_of_a_whole_proposal(program):
    interpreted(program)


@needs_kernels
@pytest.mark.parametrize("name", trials.TRIALS)
def test_trials_are_passed_by_kernels_that_are_right(name):
    for dtype in (torch.complex128, torch.complex64):
        assert trials.agrees(name, CompiledKernels(), torch.device("cpu"), dtype)


class WrongLinks(BlockedLinks):
    """The right force, and a gradient of the wrong sign."""

    def force_pullback(self, gradient, beta, c1):
        return -super().force_pullback(gradient, beta, c1)


class WrongKernels(CompiledKernels):
    def enter(self, links):
        return WrongLinks(links)

    def trusts(self, name, field):
        return trials.agrees(name, self, field.device, field.dtype)


@needs_kernels
def test_a_gradient_that_disagrees_is_left_to_torch(generator, caplog):
    served, leaf = Gradients(WrongKernels()), su3.random_group((1, 4, 2, 2, 2, 2), generator)
    leaf.requires_grad_()
    with caplog.at_level("WARNING"):
        found = served.force(leaf, 5.7)
    assert "gradient of force by torch alone" in caplog.text
    weights = su3.random_algebra(tuple(leaf.shape[:6]), generator)
    gradients = [torch.autograd.grad((one * weights.conj()).real.sum(), leaf)[0]
                 for one in (found, reference.force(leaf, 5.7))]
    assert torch.equal(*gradients)
    assert isinstance(served.loop_square(leaf).grad_fn, recorded.LoopSquare._backward_cls)


def test_every_function_with_a_gradient_has_a_trial():
    public = {name for name in vars(Gradients) if not name.startswith("_")}
    without = {"plaquettes", "staples", "rectangle_staples", "charge_density", "charge", "flow",
               "trajectory"}
    assert public - without == set(trials.TRIALS)
    assert isinstance(fast.BACKENDS["cuda with gradients"], Gradients)
