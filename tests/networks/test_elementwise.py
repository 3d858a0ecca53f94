"""One kernel for U(1) and vectors: HMC at zero, inverse, Jacobian, exact answers, bundles."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge.analysis.check import all_passed
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import ActionError, BundleError, ConfigError, LayoutError
from l2hmc_bridge.fields import u1
from l2hmc_bridge.gate import exact, laws, rows as gate
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.networks.elementwise import ElementwiseDrift, ElementwiseKick
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import U1Action
from l2hmc_bridge.systems.groups import GROUPS
from l2hmc_bridge.systems.mixtures import GaussianMixture
from tests.support import gates

ACTIONS = {"u1": U1Action(1.0),
           "vector": GaussianMixture(((-1.0, 0.0, 0.5), (1.0, 0.0, 0.0)), 0.6, (0.3, 0.7))}
SHAPES = {"u1": (2, 4, 4), "vector": (3,)}
KINDS = [("u1", "dense"), ("u1", "conv"), ("u1", "gate"), ("vector", "dense"), ("vector", "gate")]


def make(group, kind, composition="palindrome", generator=None, size=0.3, steps=2, step=0.2):
    """A kernel with both networks; weights drawn where a generator is given."""
    plan = schedule("leapfrog", step, steps)
    kick = ElementwiseKick(len(plan.kicks), group, SHAPES[group],
                           "dense" if kind == "gate" else kind, 4)
    drift = ElementwiseDrift(len(plan.drifts), group, SHAPES[group], kind, 4)
    if generator is not None:
        for parameter in (*kick.parameters(), *drift.parameters()):
            with torch.no_grad():
                parameter.copy_(size * torch.randn(parameter.shape, generator=generator,
                                                   dtype=torch.float64))
    return L2HMC(ACTIONS[group], Steps(plan), kick, drift, composition=composition)


def phase_point(kernel, generator, chains=1):
    shape = (2, chains, *SHAPES[kernel.action.group])
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("group, kind", KINDS)
def test_zero_networks_are_hmc(group, kind, generator):
    kernel = make(group, kind)
    field, momenta = phase_point(kernel, generator, 3)
    hmc = HMC(kernel.action, 0.2, 4, "leapfrog")
    with torch.no_grad():
        ours = kernel.trajectory(kernel.init(field), momenta, generator)
        theirs = hmc.trajectory(hmc.init(field), momenta, generator)
    assert laws.distance(ours.links, theirs.links, GROUPS[group]) < 1e-13
    assert (ours.momenta - theirs.momenta).abs().max() < 1e-13
    assert ours.log_det.abs().max() < 1e-13
    assert ours.force_evaluations == theirs.force_evaluations == 4


@pytest.mark.parametrize("composition", ["palindrome", "direction"])
@pytest.mark.parametrize("group, kind", KINDS)
def test_inverse_and_jacobian_of_rough_networks(group, kind, composition, generator):
    kernel = make(group, kind, composition, generator)
    field, momenta = phase_point(kernel, generator)
    phi, back = laws.forward_map(kernel), laws.inverse_map(kernel)
    assert max(laws.round_trip(phi, back, field, momenta, GROUPS[group])) < 1e-12
    with torch.no_grad():
        log_det = float(phi(field, momenta)[2])
    assert abs(log_det) > 0.01 and laws.jacobian_defect(phi, field, momenta, GROUPS[group]) < 1e-7


def test_upstream_backward_update_is_caught(generator, monkeypatch):
    """l2hmc-qcd's backward step scales before it shifts back: no inverse."""
    wrong = GROUPS["u1"]._replace(
        update_back=lambda x, a, c: (u1.wrap(u1.scale(x, -a)[0] - c), u1.scale(x, -a)[1]))
    monkeypatch.setitem(GROUPS, "u1", wrong)
    kernel = make("u1", "dense", "direction", generator)
    field = phase_point(kernel, generator, 2)[0]
    failed = {row.name for row in gate.quick(kernel, field, generator) if not row.passed}
    assert "inverse: U after Phi, Phi^-1" in failed


@pytest.mark.parametrize("half", [0, 1])
def test_a_missing_half_of_the_jacobian_is_caught(half, generator, monkeypatch):
    kernel = make("u1", "dense", "direction", generator)
    original = GROUPS["u1"].update
    first = kernel.drift_network.first_half(torch.zeros(1, 2, 4, 4))

    def partial(x, a, c):
        moved, change = original(x, a, c)
        return moved, torch.where(first == bool(half), change, 0.0)

    monkeypatch.setitem(GROUPS, "u1", GROUPS["u1"]._replace(update=partial))
    failed = [row.name for row in gate.jacobian(kernel, generator) if not row.passed]
    assert "log|J| of Phi, as trained" in failed


@pytest.mark.slow
@pytest.mark.parametrize("composition", ["palindrome", "direction"])
@pytest.mark.parametrize("group, kind", KINDS)
def test_gate_with_exact_answers(group, kind, composition):
    """The whole gate on 4 x 4, where the torus is felt, and on a mixture in R^3."""
    kernel = make(group, kind, composition, torch.Generator().manual_seed(2), 0.1)
    lattice = (4, 4) if group == "u1" else (3,)
    checks = gate.run(kernel, lattice, 250 if group == "u1" else 800)
    assert all_passed(checks), [row for row in checks if not row.passed]
    gates.require_rows(checks, kernel, lattice)


@pytest.mark.slow
def test_gate_on_8_x_8_with_convolutions_of_another_lattice():
    kernel = make("u1", "conv", "direction", torch.Generator().manual_seed(3), 0.04)
    kernel = replace(kernel, action=kernel.action.at(0.8))
    checks = gate.run(kernel, (8, 8), 250)
    assert all_passed(checks), [row for row in checks if not row.passed]


def test_jacobian_rows_hold_where_long_steps_make_the_map_steep(generator):
    """4 + 4 steps of 0.25 with random networks: differences lose their digits, not derivatives."""
    kernel = make("u1", "conv", "palindrome", generator, 0.3, steps=4, step=0.25)
    rows = gate.jacobian(kernel, torch.Generator().manual_seed(1))
    assert all(row.passed for row in rows), rows
    phi, field = laws.proposal_map(kernel), phase_point(kernel, generator)
    rough = laws.jacobian_defect(phi, *field, GROUPS["u1"])
    assert laws.differentiated_defect(phi, *field) < 1e-9 < rough


@pytest.mark.slow
def test_dropped_log_det_moves_the_exact_answers():
    """The negative control: the same rows fail where log|J| is left out of the accept step."""
    kernel = make("u1", "dense", "direction", torch.Generator().manual_seed(4), 0.2)

    class Ignoring:
        def __init__(self, kernel):
            self.kernel, self.action, self.init = kernel, kernel.action, kernel.init

        def step(self, state, generator):
            from l2hmc_bridge.sampling import markov

            proposal, info = markov.propose(self.kernel, state, generator)
            ratio = info.log_ratio - info.log_det
            uniform = markov.draw_uniform(len(ratio), generator)
            new, accepted = markov.metropolis(state, proposal, ratio, uniform)
            return new, info._replace(accepted=accepted, log_ratio=ratio)

    generator = torch.Generator().manual_seed(5)
    links = gate.thermalised(kernel, (4, 4), generator)
    rows = exact.statistical(Ignoring(kernel), links, 250, generator)
    assert any(not row.passed and "sigma" in row.source for row in rows)


@pytest.mark.parametrize("group, kind", KINDS)
def test_bundle_keeps_the_kernel(group, kind, tmp_path, generator):
    path = tmp_path / "kernel.safetensors"
    kernel = make(group, kind, "direction", generator)
    beta = kernel.action.beta
    bundle.save(path, kernel, {"seed": 1}, (beta, beta))
    loaded = bundle.load(path)
    assert loaded.kernel.action == kernel.action
    assert architecture.describe(loaded.kernel) == architecture.describe(kernel)
    field, momenta = phase_point(kernel, generator, 2)
    with torch.no_grad():
        ours, theirs = (laws.forward_map(one)(field, momenta) for one in (kernel, loaded.kernel))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    other = U1Action(1.0) if group == "vector" else ACTIONS["vector"]
    with pytest.raises(BundleError, match="expected a bundle for"):
        bundle.require_action(loaded, other)


def test_another_half_after_reload_is_caught_by_the_fingerprint(tmp_path, generator, monkeypatch):
    path = tmp_path / "kernel.safetensors"
    bundle.save(path, make("u1", "dense", "direction", generator), {}, (1.0, 1.0))
    original = ElementwiseDrift.first_half
    monkeypatch.setattr(ElementwiseDrift, "first_half",
                        lambda self, field: ~original(self, field))
    with pytest.raises(BundleError, match="fingerprint"):
        bundle.load(path)


@pytest.mark.slow
def test_a_gated_translation_by_an_instanton_changes_the_charge(generator):
    """Forward and backward move the charge by +1 and -1, and the exact answers stand."""
    plan = schedule("leapfrog", 0.15, 2)
    drift = ElementwiseDrift(2, "u1", (2, 8, 8), "gate", 1, ("t",), (0,))
    with torch.no_grad():
        drift.weight[0, 0, :, 0] = u1.instanton((8, 8)).flatten()
    kernel = L2HMC(U1Action(4.0), Steps(plan), None, drift, composition="direction")
    state = kernel.init(u1.cold_start((8, 8), 64))
    jumps = set()
    for _ in range(5):
        new, _ = kernel.step(state, generator)
        jumps |= set((u1.topological_charge(new.links)
                      - u1.topological_charge(state.links)).tolist())
        state = new
    assert jumps == {-1.0, 0.0, 1.0}
    links = gate.thermalised(kernel, (8, 8), generator, 20)
    rows = exact.statistical(kernel, links, 500, generator)
    failed = [row for row in rows if not row.passed and row.source != "stated bound"]
    assert not failed, failed


def test_refusals():
    with pytest.raises(LayoutError, match=r"expected \[2, 4, 4\]"):
        make("u1", "dense").init(torch.zeros(1, 2, 6, 4, dtype=torch.float64))
    for bad in ({"kind": "deep"}, {"outputs": ("s", "r")}, {"layers": (3,)}, {"hidden": 0}):
        with pytest.raises(ConfigError, match="expected"):
            ElementwiseDrift(2, "u1", (2, 4, 4), **bad)
    with pytest.raises(ConfigError, match="kind"):
        ElementwiseKick(2, "u1", (2, 4, 4), "gate")
    with pytest.raises(ConfigError, match="conv"):
        ElementwiseDrift(2, "vector", (3,), "conv")
    for bad in ({"means": ((1.0,), (1.0, 2.0))}, {"weights": (1.0,)}, {"variance": 0.0},
                {"beta": float("nan")}):
        with pytest.raises(ActionError, match="expected"):
            GaussianMixture(**bad)


def test_mixture_force_is_the_gradient(generator):
    action = ACTIONS["vector"].at(0.7)
    points = torch.randn(20, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(action(points).sum(), points)
    assert (gradient - action.force(points)).abs().max() < 1e-12
