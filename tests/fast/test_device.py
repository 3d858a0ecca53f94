"""Fields stay on their device: whole trajectories of fields without data, which nothing can read.

Tensors on torch's "meta" device have shapes and types alone: reading a number of one, copying one
to main memory or mixing it with a tensor that lies there raises an error. Kernels on a GPU are
stood in for by ones that do nothing.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.devices import device_of
from l2hmc_bridge.fast.gpu import functions as gpu, planar, staple_fields, trajectories
from l2hmc_bridge.fast.gpu.trajectories import Drift, Kick
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing, Steps
from l2hmc_bridge.observables import flow, standard as observables
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems import actions
from l2hmc_bridge.training import (
    loop as training,
    losses,
    outcome as training_outcome,
)
from l2hmc_bridge.training.read import parse

SHAPE = (2, 4, 4, 2, 4, 2, 3, 3)


class Transfers(TorchDispatchMode):
    """Numbers copied to the device, call by call."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if "copy" in str(function) and isinstance(result, torch.Tensor):
            sources = [one for one in arguments if isinstance(one, torch.Tensor)]
            if result.is_meta and any(one.device.type == "cpu" for one in sources):
                self.sizes.append(result.numel())
        return result


@pytest.fixture
def started(monkeypatch):
    """The kernels of a GPU for every field on the meta device; the names that were started."""
    names = []

    def backend(*given):
        gradients = any(getattr(one, "requires_grad", False) for one in given)
        return reference if gradients and torch.is_grad_enabled() else gpu

    monkeypatch.setattr(fast, "backend", backend)
    monkeypatch.setattr("l2hmc_bridge.fast.gpu.launch.trusted", lambda *_: True)
    monkeypatch.setattr(gpu, "trusted", lambda *_: True)
    for module in (gpu, gpu.sums):
        for name in ("launch", "over_sites"):
            monkeypatch.setattr(module, name, lambda name, *_, **__: names.append(name))
    for module in (planar, staple_fields, gpu.totals):
        monkeypatch.setattr(module, "launch_planar",
                            lambda name, *_, **__: names.append(name.rpartition(".")[2]))
    return names


@pytest.fixture
def links():
    return torch.empty(SHAPE, dtype=torch.complex128, device="meta")


def learned(integrator="omf2", **parts):
    """A kernel with networks everywhere, on the meta device."""
    plan = schedule(integrator, 0.1, 2 if integrator == "omf2" else 1)
    kick = KickNetwork(len(plan.kicks), 4, ("laplacian", "square", "rectangle"))
    modules = {"steps": Steps(plan), "kick_network": kick,
               "drift_network": DriftNetwork(len(plan.drifts), 4, outputs=("q", "t")),
               "mixing": MomentumMixing()}
    modules = {name: one.to("meta") for name, one in modules.items()}
    return L2HMC(actions.GaugeAction(6.0, -1 / 12), **{**modules, **parts})


@pytest.mark.parametrize("integrator", ("omf2", "force_gradient"))
def test_hmc_stays_on_the_device(started, links, generator, integrator):
    kernel = HMC(actions.GaugeAction(6.0), 0.1, 3, integrator)
    state = kernel.init(links)
    markov.draw_momenta(links, generator)  # the generators of the algebra go there once
    started.clear()
    with Transfers() as moved:
        state, info = kernel.step(state, generator)
    assert all(one.is_meta for one in (*state[:3], info.accepted, info.log_ratio))
    # The components of the momenta, and the uniform number of each chain: nothing else.
    assert sorted(moved.sizes) == [2, 8 * links.numel() // 9]
    # Links, momenta and force go into the kernels' layout and back; S and K are taken there.
    assert started.count("enter_kernel") == started.count("leave_kernel") == 3
    assert started.count("kinetic_kernel") == 2 and started.count("plaquette_kernel") == 1
    assert "square_kernel" not in started
    if integrator == "omf2":
        plan = kernel.plan
        # The first drift knows its force, as does the last kick; every other drift runs with one.
        assert started.count("drift_kernel") == 2
        assert started.count("push_kernel") == len(plan.drifts)


def test_steps_alone_cost_what_hmc_costs(started, links, generator):
    """A palindrome of n drifts starts the kernels of HMC with twice as many, and no others."""
    plan = schedule("omf2", 0.1, 2)
    kernel = L2HMC(actions.GaugeAction(6.0), Steps(plan))
    with torch.no_grad():
        state = kernel.init(links)
        momenta = markov.draw_momenta(links, generator)
        started.clear()
        kernel.trajectory(state, momenta, generator)
        ours = sorted(started)
        started.clear()
        HMC(actions.GaugeAction(6.0), 0.1, 4).trajectory(state, momenta, generator)
    assert ours == sorted(started) and ours.count("push_kernel") == 2 * len(plan.drifts)


@pytest.mark.parametrize("composition", ("palindrome", "direction"))
def test_l2hmc_stays_on_the_device(started, links, generator, composition, monkeypatch):
    """Where kernels with networks do not agree with torch, and torch's formulas serve."""
    monkeypatch.setattr("l2hmc_bridge.l2hmc.planar_trial.agrees", lambda *_: False)
    kernel = learned(composition=composition)
    with torch.no_grad():
        state = kernel.init(links)
        markov.draw_momenta(links, generator)
        with Transfers() as moved:
            state, info = kernel.step(state, generator)
    assert all(one.is_meta for one in (*state[:3], info.accepted, info.log_ratio))
    assert max(moved.sizes) == 8 * links.numel() // 9
    assert sum(size > 2 for size in moved.sizes) == 1


@pytest.mark.slow
def test_training_stays_on_the_device(started, links, generator):
    kernel = learned("leapfrog")
    with torch.no_grad():
        state = kernel.init(links)
    with Transfers() as moved:
        proposal, info = markov.propose(kernel, state, generator)
        loss = losses.mixture(dict.fromkeys(losses.LOSSES, 1.0))(state, proposal, info)
        loss.backward()
    assert loss.is_meta and kernel.kick_network.first.weight.grad.is_meta
    assert sum(size > 72 for size in moved.sizes) == 1


def test_measuring_stays_on_the_device(started, links):
    with Transfers() as moved, torch.no_grad():
        values = observables.measure(links)
        flowed = list(flow.integrate(links, [0.1, 0.2], 0.05))
        stout = flow.stout(links, 0.1, 2)
    assert all(one.is_meta for one in (*values.values(), *(field for _, field in flowed), stout))
    assert started.count("push_kernel") == 4 * 3 + 2  # stages of the flow, and of stout
    # The five-loop charge: lines of two and three links, and five shapes of loops.
    assert started.count("line_kernel") == 2 and started.count("charge_kernel") == 5
    assert not moved.sizes


def test_a_flow_is_measured_where_it_is(started, links):
    """Fields enter the kernels' layout once and do not leave it."""
    with torch.no_grad():
        found = [one for _, one in flow.measured(links, [0.0, 0.1, 0.2], 0.05)]
    assert all(one.is_meta for point in found for one in point)
    assert started.count("enter_kernel") == 1 and started.count("leave_kernel") == 0
    assert started.count("measure_kernel") == 3 and started.count("push_kernel") == 4 * 3


def test_what_a_graph_holds_waits_for_nothing(started, links):
    """Nor does it need numbers from main memory; exact sums are rounded after it."""
    moves = (Kick(0.1), Drift(0.2), Kick(-0.1, 1.0, 0.02), Drift(0.1), Kick(0.0, -1.0))
    for part in (None, parts.whole(SHAPE[2:6])):
        way = trajectories.Way(6.0, -1 / 12, moves, part)
        legs = trajectories.Legs(((0.0, 0), (0.05, 2)), -1 / 12, True, part)
        with parts.holding(part), torch.no_grad(), Transfers() as moved:
            found = (*trajectories._travelled(way, links, links, links),
                     *trajectories._flowed(legs, links), *trajectories._measured(legs, links))
        assert all(one.is_meta for one in found) and not moved.sizes
    with parts.holding(part), pytest.raises(NotImplementedError, match="meta"):
        trajectories.travel(links, links, links, 6.0, 0.0, moves)  # which sums


def test_momenta_are_the_same_wherever_they_go(links, generator):
    """What is drawn does not depend on where the links are."""
    before = generator.get_state()
    markov.draw_momenta(links, generator)
    after = generator.get_state()
    generator.set_state(before)
    markov.draw_momenta(torch.empty(SHAPE, dtype=torch.complex128), generator)
    assert torch.equal(generator.get_state(), after)


def test_reading_a_field_would_be_noticed(links):
    for read in (lambda: links.cpu(), lambda: float(links.real.sum()), lambda: links.tolist(),
                 lambda: bool((links.real > 0).any())):
        with pytest.raises((NotImplementedError, RuntimeError)):
            read()
    with Transfers() as moved:
        torch.ones(5, 3).to(links)
    assert moved.sizes == [15]


def test_a_trainer_on_a_device_has_everything_there(monkeypatch, started):
    """The kernel, the chains of each beta, the optimiser and the start it is held against."""
    table = {
        "name": "small", "action": "wilson", "betas": [5.7], "seed": 3,
        "loss": {"energy_error": 1.0},
        "model": {"integrator": "leapfrog", "steps": 1, "step_size": 0.1,
                  "kick_network": {"hidden": 2, "loops": ["square"]}},
        "stage": [{"lattice": [2, 2, 2, 2], "chains": 2, "iterations": 1, "thermalisation": 0}],
    }
    config = parse(table)
    monkeypatch.setattr(training, "thermalise", lambda hmc, start, *_: start)
    trainer = training.start(config, "meta")
    assert trainer.device.type == "meta"
    parameters = [p for group in trainer.optimiser.param_groups for p in group["params"]]
    assert parameters and all(p.is_meta for p in parameters)
    _, stage, before = trainer.stage()
    given = torch.zeros(3, 4, 2, 2, 2, 2, 3, 3, dtype=torch.complex128)
    assert training._chains(trainer, stage, 0, before, {}).is_meta
    trainer.chains.clear()
    assert training._chains(trainer, stage, 0, before, {0: given}).is_meta
    assert training_outcome.beginning(config, "meta").steps.length.is_meta


def test_devices_by_name():
    assert device_of("cpu") == torch.device("cpu")
    for name in ("cuda:97", "abacus"):
        with pytest.raises(ConfigError, match=f"--device {name}: expected a device of this"):
            device_of(name)
