"""Networks on fields with their numbers apart: in Triton's interpreter against torch's formulas."""

import pytest

from tests.support.interpreter import interpreted, needs_triton

START = """
import torch
from l2hmc_bridge import fast
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.gpu.learned import moving, scripts
from l2hmc_bridge.fields import su3
from l2hmc_bridge.l2hmc import planar_trial
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.planar_networks import PlanarNetworkEngine
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.systems.actions import GaugeAction

fast.backend = lambda *_: reference if fast.choice() == "torch" else gpu
agrees, planar_trial.agrees = planar_trial.agrees, lambda *_: True
torch.set_grad_enabled(False)
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(1)

def fields(extents, chains=1):
    shape = (chains, 4, *extents)
    return su3.random_group(shape, generator), su3.random_algebra(shape, generator)

def kernel(kick=None, drift=None, mixing=False, c1=0.0, activation="isru", integrator="omf2",
           **options):
    steps = Steps(schedule(integrator, 0.15, 1))
    made = L2HMC(
        GaugeAction(5.7, c1), steps,
        None if kick is None else KickNetwork(len(steps.kicks), 5, kick, activation),
        DriftNetwork(len(steps.drifts), 3, *drift, activation=activation) if drift else None,
        MomentumMixing() if mixing else None, **options)
    for part in (made.kick_network, made.drift_network, made.mixing):
        for p in part.parameters() if part is not None else ():
            p.copy_(0.2 * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return made

def both(made, links, momenta):
    state = State(links, made.action(links), made.action.force(links))
    seeds = lambda: [torch.Generator().manual_seed(s) for s in range(len(momenta))]
    found = made.trajectory(state, momenta, seeds())
    with fast.using("torch"):
        assert engine_for(made, links) is TorchEngine
        return found, made.trajectory(state, momenta, seeds())

def check(name, found, expected, bound=1e-12):
    difference = float((found - expected).abs().max() / (1 + expected.abs().max()))
    print(name, difference)
    if not difference < bound:
        raise SystemExit(f"{name}: {difference}")
"""

AGAINST_TORCH = START + """
BOTH = ("q", "t")
for number, (name, parts) in enumerate(KERNELS.items()):
    extents = [(2, 2, 2, 4), (4, 2, 2, 2), (2, 4, 2, 2), (2, 2, 4, 2), (2, 2, 2, 6)][number % 5]
    if parts.get("odd"):
        extents = (3, 1, 2, 5)
    links, momenta = fields(extents, parts.get("chains", 1))
    made = kernel(**{key: part for key, part in parts.items() if key not in ("odd", "chains")})
    before = links.clone(), momenta.clone()
    assert engine_for(made, links) is PlanarNetworkEngine
    found, expected = both(made, links, momenta)
    for what in ("links", "momenta", "log_det", "force"):
        check(f"{name}: {what}", getattr(found, what), getattr(expected, what))
    check(f"{name}: S", found.action, reference.action(found.links, 5.7, made.action.c1))
    check(f"{name}: K", found.delta_kinetic,
          reference.kinetic(found.momenta) - reference.kinetic(momenta))
    assert torch.equal(found.action, made.action(found.links))  # which a state begins with
    assert found.force_evaluations == expected.force_evaluations, name
    assert torch.equal(links, before[0]) and torch.equal(momenta, before[1])
    if made.kick_network is not None:  # which changes volumes
        assert float(expected.log_det.abs().min()) > 1e-3
"""

KICKS = {
    "without loops": {"kick": (), "composition": "direction", "chains": 2},
    "square, tanh, displaced": {"kick": ("square",), "activation": "tanh",
                                "integrator": "force_gradient"},
    "Laplacian, twice": {"kick": ("laplacian",), "repeats": 2, "integrator": "leapfrog",
                         "odd": True},
}
RECTANGLES = {
    "every loop, and in the action": {"kick": ("square", "laplacian", "rectangle"), "c1": -1 / 12,
                                      "integrator": "leapfrog", "odd": True},
    "a loop named twice": {"kick": ("rectangle", "rectangle"), "composition": "direction",
                           "integrator": "leapfrog"},
}
DRIFTS = {
    "turn, t": {"drift": ("turn", ("q", "t"))},
    "all, tanh": {"drift": ("all", ("q",)), "activation": "tanh", "integrator": "leapfrog"},
    "displaced": {"drift": ("turn", ("q",)), "integrator": "force_gradient"},
    "with a kick network": {"kick": ("square",), "drift": ("turn", ("q",)), "chains": 2,
                            "composition": "direction"},
}
MIXED = {
    "displaced": {"mixing": True, "integrator": "force_gradient", "odd": True},
    "kick network": {"kick": ("square", "laplacian"), "mixing": True, "integrator": "leapfrog"},
    "all of it": {"kick": ("square",), "drift": ("turn", ("q", "t")), "mixing": True,
                  "composition": "direction", "integrator": "leapfrog", "chains": 2},
}


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("kernels", [KICKS, RECTANGLES, DRIFTS, MIXED],
                         ids=("kicks", "rectangles", "drifts", "mixing"))
def test_trajectories_with_networks_are_those_of_torch(kernels):
    interpreted(AGAINST_TORCH.replace("KERNELS", repr(kernels)))


OTHERWISE = START + """
links, momenta = fields((2, 2, 2, 4))
made = kernel(("square",), ("turn", ("q",)), integrator="leapfrog")
force = made.action.force(links)
ends = {}
for dtype, engine in ((torch.complex64, PlanarNetworkEngine), (torch.complex128, TorchEngine)):
    with fast.using("auto" if dtype == torch.complex64 else "torch"):
        at = engine.enter(made, *(one.to(dtype) for one in (links, momenta, force)))
        made.palindrome(at)
        ends[dtype] = at.leave()
for what in ("links", "momenta", "log_det", "force"):
    found, expected = (getattr(end, what) for end in ends.values())
    assert what == "log_det" or found.dtype == torch.complex64
    check(f"single precision: {what}", found, expected, 1e-5)
found, expected = ends.values()
check("single precision: S", found.action, reference.action(expected.links, 5.7), 1e-5)
check("single precision: K", found.delta_kinetic,
      reference.kinetic(expected.momenta) - reference.kinetic(momenta), 1e-5)

assert engine_for(made, links) is PlanarNetworkEngine
with torch.enable_grad():
    assert engine_for(made, links) is TorchEngine
planar_trial.agrees = lambda *_: False
assert engine_for(made, links) is TorchEngine

planar_trial.SHAPE = (1, 4, 2, 2, 2, 2)
sort = planar_trial.sort_of(kernel((), integrator="leapfrog"))
energies = scripts.energies
def planted(number):
    return lambda *given: tuple(1.01 * one if number == n else one
                                for n, one in enumerate(energies(*given)))
before = torch.random.get_rng_state()
given = PlanarNetworkEngine.enter, sort, torch.device("cpu"), torch.complex128
assert agrees.__wrapped__(*given)
for module, name, wrong in ((moving, "COMPONENTS", 9),  # of a momentum
                            (scripts, "energies", planted(0)), (scripts, "energies", planted(1))):
    right = getattr(module, name)
    setattr(module, name, wrong)
    assert not agrees.__wrapped__(*given), name
    setattr(module, name, right)
def broken(*fields):
    raise RuntimeError("no compiler for this GPU")
assert not agrees.__wrapped__(broken, *given[1:])
assert torch.equal(torch.random.get_rng_state(), before)
"""


@needs_triton
@pytest.mark.slow
def test_single_precision_and_kernels_that_disagree():
    interpreted(OTHERWISE)
