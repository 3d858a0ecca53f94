"""Trajectories that stay in the kernels' layout against the same trajectories in torch."""

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.cpu import blocks as blocked, learned, library as native
from l2hmc_bridge.fields import su3
from l2hmc_bridge.l2hmc.compiled import CompiledEngine
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.networks.covariant import (
    ACTIVATIONS,
    DriftNetwork,
    KickNetwork,
    MomentumMixing,
    Steps,
)
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import INTEGRATORS, schedule
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.marks import rest_slow
from tests.support.planted import run

pytestmark = pytest.mark.skipif(native.library() is None, reason="no compiled kernels here")

LATTICES = ((2, 4, 6, 4), (6, 2, 4, 2), (4, 2, 2, 8), (8, 4, 4, 2))
ODD = (3, 4, 5, 2)
BOTH = ("q", "t")  # outputs of a drift network


def fields(extents, generator, chains=2):
    shape = (chains, 4, *extents)
    return su3.random_group(shape, generator), su3.random_algebra(shape, generator)


def learned_kernel(generator, kick=None, drift=None, mixing=False, **options):
    """A kernel whose networks do something: every weight is random."""
    steps = Steps(schedule(options.pop("integrator", "omf2"), 0.15, 2))
    activation = options.pop("activation", "isru")
    kernel = L2HMC(
        GaugeAction(5.7, options.pop("c1", 0.0)),
        steps,
        None if kick is None else KickNetwork(len(steps.kicks), 5, kick, activation),
        DriftNetwork(len(steps.drifts), 3, *drift, activation=activation) if drift else None,
        MomentumMixing() if mixing else None,
        **options,
    )
    with torch.no_grad():
        for part in (kernel.kick_network, kernel.drift_network, kernel.mixing):
            for p in part.parameters() if part is not None else ():
                p.copy_(0.2 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return kernel


KERNELS = {
    "no networks": {},
    "kick without loops": {"kick": ()},
    "kick": {"kick": ("laplacian",)},
    "kick, local": {"kick": ("square",)},
    "kick, three loops": {"kick": ("square", "laplacian", "rectangle"), "c1": -1 / 12},
    "displaced, local": {"kick": ("square",), "integrator": "force_gradient"},
    "local kick and mixing": {"kick": ("square",), "mixing": True, "c1": -1 / 12},
    "kick, two loops": {"kick": ("laplacian", "rectangle"), "c1": -1 / 12},
    "displaced": {"kick": ("laplacian",), "integrator": "force_gradient"},
    "kick, tanh": {"kick": ("square",), "activation": "tanh"},
    "drift": {"drift": ("turn", BOTH)},
    "drift, tanh": {"drift": ("turn", BOTH), "activation": "tanh"},
    "local kick and drift": {"kick": ("square",), "drift": ("turn", BOTH)},
    "local kick and drift without t": {"kick": ("square",), "drift": ("turn", ("q",))},
    "twice": {"kick": ("square",), "drift": ("turn", BOTH), "repeats": 2},
    "all parts, local": {"kick": ("square",), "drift": ("turn", BOTH), "mixing": True,
                         "c1": -1 / 12},
    "drift, all subsets": {"drift": ("all", BOTH)},
    "drift without t": {"drift": ("turn", ("q",))},
    "drift without t, all subsets": {"drift": ("all", ("q",))},
    "drift and mixing": {"drift": ("turn", BOTH), "mixing": True},
    "mixing": {"mixing": True},
    "kick and mixing": {"kick": ("laplacian",), "mixing": True},
    "everything": {"kick": ("laplacian",), "drift": ("all", BOTH), "mixing": True, "c1": -0.331},
    "direction": {"kick": ("laplacian",), "composition": "direction"},
    "direction, local": {"kick": ("square",), "drift": ("turn", BOTH),
                         "composition": "direction"},
}


def both(kernel, state, momenta):
    """The trajectory on the kernels and in torch, from the same random numbers."""
    ends = []
    for choice in ("auto", "torch"):
        with fast.using(choice):
            seeds = [torch.Generator().manual_seed(s) for s in range(len(momenta))]
            ends.append(kernel.trajectory(state, momenta, seeds))
    return ends


def assert_same(found, expected):
    assert found.force_evaluations == expected.force_evaluations
    for one, other in zip(found[:4], expected[:4], strict=True):
        scale = 1 + float(other.abs().max())
        assert float((one - other).abs().max()) < 1e-12 * scale


@pytest.mark.parametrize("extents", rest_slow(LATTICES), ids=str)
@pytest.mark.parametrize("name", KERNELS)
@torch.no_grad()
def test_learned_trajectories(name, extents, generator):
    links, momenta = fields(extents, generator, chains=3)
    kernel = learned_kernel(generator, **KERNELS[name])
    state = kernel.init(links)
    before = links.clone(), momenta.clone()
    assert engine_for(kernel, links) is CompiledEngine
    assert_same(*both(kernel, state, momenta))
    assert torch.equal(links, before[0]) and torch.equal(momenta, before[1])


@torch.no_grad()
def test_learned_trajectories_with_odd_extents(generator):
    links, momenta = fields(ODD, generator)
    kernel = learned_kernel(generator, kick=("laplacian",), mixing=True)
    assert_same(*both(kernel, kernel.init(links), momenta))


@pytest.mark.parametrize("name", INTEGRATORS)
@pytest.mark.parametrize("extents", (LATTICES[0], ODD), ids=str)
def test_hmc_trajectories(name, extents, generator):
    links, momenta = fields(extents, generator)
    kernel = HMC(GaugeAction(5.7, -1 / 12), 0.1, 2, name)
    state = kernel.init(links)
    found, expected = both(kernel, state, momenta)
    assert_same(found, expected)
    assert float((found.force - kernel.action.force(found.links)).abs().max()) < 1e-13 * 5.7


@pytest.mark.parametrize("choice", ("auto", "torch"))
@pytest.mark.parametrize("name", ("no networks", "kick, local", "kick, two loops", "everything",
                                  "displaced, local"))
@torch.no_grad()
def test_a_palindrome_is_there_flip_and_back(name, choice, generator):
    """The turn in one kick gives what the closing kick, the flip and its inverse give."""
    links, momenta = fields((4, 2, 4, 2), generator)
    kernel = learned_kernel(generator, **KERNELS[name])
    with fast.using(choice):
        found = kernel.trajectory(kernel.init(links), momenta, generator)
        at = kernel.enter(links, momenta, kernel.action.force(links))
        kernel.forward(at)
        at.flip()
        kernel.inverse(at)
        at.flip()
        expected = at.leave()
    for one, other in zip(found[:4], expected[:4], strict=True):
        assert float((one - other).abs().max()) < 1e-12 * (1 + float(other.abs().max()))


@torch.no_grad()
def test_the_compiled_map_is_inverted_by_its_own_inverse(generator):
    links, momenta = fields((4, 2, 4, 2), generator)
    kernel = learned_kernel(generator, kick=("laplacian",), drift=("turn", BOTH), mixing=True)
    there = kernel.directed(links, momenta, kernel.action.force(links), 1)
    back = kernel.directed(there.links, there.momenta, there.force, -1)
    assert float((back.links - links).abs().max()) < 1e-12
    assert float((back.momenta - momenta).abs().max()) < 1e-12
    assert float((there.log_det + back.log_det).abs().max()) < 1e-10
    assert float(there.log_det.abs().min()) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("extents", (LATTICES[0], LATTICES[3]), ids=str)
@pytest.mark.parametrize("name", ("local kick and drift", "local kick and drift without t",
                                  "all parts, local"))
@torch.no_grad()
def test_any_number_of_threads_gives_the_same_bits(name, extents, generator):
    """Three chains: alone a thread takes them slice by slice, with others in passes."""
    links, momenta = fields(extents, generator, chains=3)
    kernel = learned_kernel(generator, **KERNELS[name])
    state, ends = kernel.init(links), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        ends.append(kernel.trajectory(state, momenta, generator))
    for end in ends[1:]:
        assert all(torch.equal(one, other) for one, other in zip(end[:4], ends[0][:4], strict=True))


@torch.no_grad()
def test_what_waits_to_run_is_run_before_anyone_looks(generator):
    """links and force of a point are those after the last drift, and log|J| is a number by then."""
    links, momenta = fields(LATTICES[3], generator)
    kernel = learned_kernel(generator, kick=("square",), drift=("turn", BOTH))
    ends = []
    for choice in ("auto", "torch"):
        with fast.using(choice):
            ends.append((run(kernel, kernel.forward, links, momenta),
                         run(kernel, lambda at: at.drift(0, 1), links, momenta)))
    (whole, one), (slow_whole, slow) = ends
    assert torch.allclose(whole.log_det, slow_whole.log_det, rtol=1e-10)
    assert float((one.links - slow.links).abs().max()) < 1e-12
    assert float((one.force - slow.force).abs().max()) < 1e-11


def test_what_the_kernels_do_not_know_runs_in_torch(generator):
    links, _ = fields((2, 2, 2, 2), generator)

    class Other(KickNetwork):
        def forward(self, *arguments):
            return super().forward(*arguments)

    kernel = learned_kernel(generator, kick=("laplacian",))
    assert engine_for(kernel, links) is TorchEngine  # it may be trained
    with torch.no_grad():
        assert engine_for(kernel, links) is CompiledEngine
        other = L2HMC(kernel.action, kernel.steps, Other(len(kernel.steps.kicks)))
        assert engine_for(other, links) is TorchEngine
        with fast.using("torch"):
            assert engine_for(kernel, links) is TorchEngine


@pytest.mark.parametrize("extents", (*LATTICES, ODD, (3, 5, 1, 3)), ids=str)
def test_layouts_are_inverse_to_each_other(extents, generator):
    links, momenta = fields(extents, generator)
    lattice = native.lattice(extents)
    blocks = blocked.links_in(lattice, links)
    assert torch.equal(blocked.links_out(lattice, blocks), links)
    components = blocked.algebra_in(lattice, momenta, len(links))
    assert float((blocked.algebra_out(lattice, components) - momenta).abs().max()) < 1e-15
    numbers = su3.inner(momenta, momenta)
    scalars = blocked.scalars_in(lattice, numbers, len(links))
    assert torch.equal(blocked.scalars_out(lattice, scalars), numbers)
    assert torch.allclose(blocked.kinetic(lattice, components), su3.kinetic(momenta), rtol=1e-14)


@pytest.mark.parametrize("activation", learned.ACTIVATIONS)
def test_elementary_functions_of_the_networks(activation, generator):
    """out = f(x) and the growth e^{h^2 s}, against torch, over the whole range."""
    lattice = native.lattice((4, 4, 2, 2))
    inputs = torch.randn(lattice.field(1, 2), generator=generator, dtype=torch.float64)
    inputs *= torch.logspace(-12, 2.5, lattice.blocks, dtype=torch.float64)[:, None, None, None]
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    net = learned.network(torch.tensor([[1.0, 0.0]]), zero[:1], torch.cat([one, 0 * one]), zero,
                          activation)
    momenta = torch.ones(lattice.field(1, 8), dtype=torch.float64)
    links = torch.zeros(lattice.field(1, 18), dtype=torch.float64)
    push = learned.Push(links, net, 0 * momenta, inputs)
    out, total = learned.kick(lattice, push, 1.0, momenta)
    expected = ACTIVATIONS[activation](inputs[:, :, :, :1])
    assert torch.allclose(out, torch.exp(expected).expand_as(out), rtol=4e-16 * 3, atol=0)
    assert torch.allclose(total / 8, expected.sum((1, 2, 3, 4)), rtol=1e-13)
    back, minus = learned.kick(lattice, push, 1.0, out, learned.INVERSE)
    assert torch.allclose(back, momenta, rtol=1e-15, atol=0) and torch.equal(minus, -total)


def test_networks_beyond_the_kernels_are_refused():
    weight = torch.zeros(9, 4)
    with pytest.raises(ConfigError, match="at most 8"):
        learned.network(torch.zeros(4, 2), torch.zeros(4), weight, torch.zeros(9))
