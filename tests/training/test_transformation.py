"""Training a field transformation, and the losses that see slow modes."""

import pytest
import torch

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.observables import flow, standard
from l2hmc_bridge.observables.topology import topological_charge
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.training import loop as training, losses, outcome
from l2hmc_bridge.training.read import parse
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links
from tests.support.transformations import random_transformation

TABLE = {
    "name": "test", "action": "wilson", "betas": [5.8], "learning_rate": 1e-2,
    "validation_chains": 4, "keep": "trained", "loss": {"flowed_energy": 1.0},
    "model": {"integrator": "omf2", "step_size": 0.3, "steps": 1, "train_steps": False,
              "transformation": {"hidden": 2}, "rho_start": 0.05},
    "stage": [{"lattice": [2, 2, 2, 4], "iterations": 2, "chains": 2, "thermalisation": 2}],
}


@torch.no_grad()
def test_jumps_are_those_of_the_measured_flow(generator):
    """Energy density and charge at t = 0.4 as `measure` has them, Nb = 2."""
    before, after = (markov.State(rough_links(generator, (2, 4, 2, 2), 2), None, None)
                     for _ in range(2))
    energy, charge = losses.flowed_jumps(before, after)
    seen = []
    for one in (before, after):
        (_, links), = flow.integrate(one.links, [0.4], 0.1)
        seen.append((standard.energy_density(links), topological_charge(links)))
    (e, q), (e_new, q_new) = seen
    assert torch.allclose(energy, 32 * (e_new - e) ** 2, rtol=1e-9)
    assert torch.allclose(charge, (q_new - q) ** 2, rtol=1e-9)
    assert float(energy.min()) > 0 and float(charge.min()) > 0


@torch.no_grad()
@pytest.mark.parametrize("name, jump", [("flowed_energy", 0), ("flowed_charge", 1)])
def test_losses_are_per_force_and_weighted_by_acceptance(name, jump, generator):
    kernel = make_kernel("steps", step=0.2)
    state = kernel.init(rough_links(generator, (2, 2, 2, 4), 4))
    proposal, info = markov.propose(kernel, state, generator)
    info = info._replace(log_ratio=torch.tensor([0.3, -1.0, torch.nan, -2.0]).double())
    gains = losses.flowed_jumps(state, proposal)[jump] * torch.tensor([1, 0.36788, 0, 0.13534])
    found = losses.LOSSES[name](state, proposal, info)
    assert float(found) == pytest.approx(-float((gains.mean() / info.force_evaluations).log()),
                                         abs=1e-5)
    twice = info._replace(force_evaluations=2 * info.force_evaluations)
    assert float(losses.LOSSES[name](state, proposal, twice) - found) == pytest.approx(0.693147)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flowed_energy", "flowed_charge", "energy_error"])
def test_gradients_of_rho_by_finite_differences(name, generator):
    """Through F, its inverse, the forces and the flow."""
    kernel = make_kernel("steps", step=0.2)
    made = random_transformation(generator, 2)
    kernel = type(kernel)(kernel.action, kernel.steps, transformation=made)
    links = rough_links(generator, (2, 2, 2, 2), 2, 0.4)

    def loss():
        state = markov.state_at(kernel, links)
        proposal, info = markov.propose(kernel, state, markov.trajectory_generator(1, 0, 0))
        return losses.LOSSES[name](state, proposal, info)

    parameters = [*made.parameters()]
    gradients = torch.autograd.grad(loss(), parameters)
    for one, gradient in zip(parameters, gradients, strict=True):
        flat, ends = one.detach().view(-1), []
        for move in (1e-4, -2e-4):
            flat[0] += move
            ends.append(float(loss().detach()))
        flat[0] += 1e-4
        assert float(gradient.flatten()[0]) == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-4,
                                                             abs=1e-6)


@pytest.mark.slow
def test_a_run_moves_rho_alone_and_leaves_a_bundle(tmp_path):
    trainer = training.start(parse(TABLE))
    begun = {name: one.clone() for name, one in trainer.kernel.transformation.state_dict().items()}
    steps = {name: one.clone() for name, one in trainer.kernel.steps.state_dict().items()}
    assert float(trainer.kernel.transformation.bias.detach()) == pytest.approx(
        float(FieldTransformation.constant(0.05).bias.detach()))
    while trainer.iteration < trainer.iterations:
        row = training.iterate(trainer)
        assert row.gradient_norm > 0 and 0 < row.acceptance <= 1
    for name, one in trainer.kernel.transformation.state_dict().items():
        if not name.startswith("first"):  # no gradient reaches these while the last layer is zero
            assert not torch.equal(one, begun[name]), name
    assert all(torch.equal(one, steps[name])
               for name, one in trainer.kernel.steps.state_dict().items())
    found = outcome.finish(trainer, tmp_path / "b.safetensors", {})
    assert found["score"].startswith("E[A V (E' - E)^2]") and found["kept"] == "trained"
    loaded = bundle.load(tmp_path / "b.safetensors").kernel
    assert loaded.transformation.hidden == 2
    assert outcome.beginning(trainer.config).transformation is None


def test_steps_are_fitted_around_a_fixed_transformation():
    """Levenberg-Marquardt on the energy error in V."""
    table = {**TABLE, "loss": {"energy_error": 1.0},
             "model": {**TABLE["model"], "train_steps": True, "transformation": {}},
             "stage": [{**TABLE["stage"][0], "method": "gauss_newton", "chains": 4}]}
    trainer = training.start(parse(table))
    bias = trainer.kernel.transformation.bias.detach().clone()
    rows = [training.iterate(trainer) for _ in range(2)]
    assert rows[1].loss <= rows[0].loss
    assert torch.equal(trainer.kernel.transformation.bias, bias)


@pytest.mark.parametrize("change, found", [
    ({"model": {"rho_start": 0.1}}, "model.rho_start: expected 0 without"),
    ({"precision": "single"}, "precision: expected double with a field transformation"),
    ({"model": {**TABLE["model"], "rho_start": 0.2}}, "rho: expected a number within"),
    ({"model": {"transformation": {"loops": 1}}}, "transformation.loops: unknown key"),
    ({"action": "u1", "loss": {"charge": 1.0}, "stage": [{"lattice": [4, 4]}]},
     "model.transformation: expected none for action 'u1'"),
])
def test_configurations_that_cannot_be_are_refused(change, found):
    with pytest.raises(ConfigError, match=found):
        training.start(parse({**TABLE, **change}))
