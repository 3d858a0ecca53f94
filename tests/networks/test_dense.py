"""Dense SU(3) networks: HMC at zero, inverse, Jacobian, one lattice, bundles and their gate."""

import pytest
import torch

from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import BundleError, ConfigError, LayoutError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import dense as gate_dense, laws, rows as gate
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.networks.dense import DenseDrift, DenseKick
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import gauge_action
from l2hmc_bridge.training import losses
from tests.support.fields import rough_links

LATTICE = (2, 2, 2, 2)
ACTION = gauge_action("wilson", 2.0)


def make(generator=None, composition="palindrome", size=0.1, lattice=LATTICE):
    """A kernel with both networks on 2^4; weights drawn where a generator is given."""
    plan = schedule("leapfrog", 0.2, 2)
    kick, drift = DenseKick(3, (4, *lattice), 3), DenseDrift(2, (4, *lattice), 3)
    if generator is not None:
        for parameter in (*kick.parameters(), *drift.parameters()):
            with torch.no_grad():
                parameter.copy_(size * torch.randn(parameter.shape, generator=generator,
                                                   dtype=torch.float64))
    return L2HMC(ACTION, Steps(plan), kick, drift, composition=composition)


def phase_point(generator, chains=1, lattice=LATTICE):
    links = rough_links(generator, lattice, chains)
    return links, su3.random_algebra(links.shape[:-2], generator)


def test_zero_networks_are_hmc(generator):
    kernel, hmc = make(), HMC(ACTION, 0.2, 4, "leapfrog")
    links, momenta = phase_point(generator, 2)
    with torch.no_grad():
        ours = kernel.trajectory(kernel.init(links), momenta, generator)
        theirs = hmc.trajectory(hmc.init(links), momenta, generator)
    assert (ours.links - theirs.links).abs().max() < 1e-13
    assert (ours.momenta - theirs.momenta).abs().max() < 1e-13
    assert ours.log_det.abs().max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("composition", ["palindrome", "direction"])
def test_the_laws(composition, generator):
    kernel = make(generator, composition)
    links, momenta = phase_point(generator)
    checks = gate.quick(kernel, links, generator) + gate.jacobian(kernel, generator)
    checks += gate_dense.kicks(kernel, links, generator)
    assert all(row.passed for row in checks), [row for row in checks if not row.passed]
    with torch.no_grad():
        assert abs(float(laws.forward_map(kernel)(links, momenta)[2])) > 0.05


@pytest.mark.slow
def test_statistics_of_rough_networks(generator):
    kernel = make(generator, "direction", 0.03)
    links = gate.thermalised(kernel, LATTICE, generator, 20)
    rows = gate.statistical(kernel, links, 240, generator)
    failed = [row for row in rows if not row.passed]
    assert not failed, failed


def test_nine_components_are_caught_kick_by_kick(generator, monkeypatch):
    kernel = make(generator)
    links, _ = phase_point(generator)
    monkeypatch.setattr("l2hmc_bridge.l2hmc.reference._log_det",
                        lambda exponent, group=None: 9 * exponent.flatten(1).sum(1))
    failed = {row.name for row in gate_dense.kicks(kernel, links, generator) if not row.passed}
    assert failed == {"kicks as trained: log|J| = 8 sum log scale"}


def test_bundle_keeps_lattice_and_masks(generator, tmp_path, monkeypatch):
    path, lattice = tmp_path / "dense.safetensors", (2, 4, 2, 2)
    kernel = make(generator, lattice=lattice)
    bundle.save(path, kernel, {}, (2.0, 2.0))
    loaded = bundle.load(path).kernel
    assert architecture.describe(loaded) == architecture.describe(kernel)
    assert architecture.describe(loaded)["masks"] == "checkerboard"
    with pytest.raises(LayoutError, match="expected .2, 4, 2, 2."):
        loaded.init(rough_links(generator, LATTICE, 1))
    half = DenseDrift.first_half
    monkeypatch.setattr(DenseDrift, "first_half", lambda self, links: ~half(self, links))
    with pytest.raises(BundleError, match="fingerprint"):
        bundle.load(path)


def test_gradients_reach_every_network(generator):
    kernel = make(generator)
    state = kernel.init(rough_links(generator, LATTICE, 2))
    proposal, info = markov.propose(kernel, state, markov.trajectory_generator(1, 0, 0))
    losses.mixture({"energy_error": 1.0, "plaquette": 1.0})(state, proposal, info).backward()
    for part in (kernel.kick_network, kernel.drift_network):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_refusals():
    with pytest.raises(ConfigError, match="kind, hidden"):
        DenseKick(2, (4, 2, 2, 2, 2), 0)
    with pytest.raises(ConfigError, match="width: unknown key"):
        architecture.untrained(ACTION, "leapfrog", 0.1, 1, kick_network={"kind": "dense",
                               "width": 3}, shape=(4, 2, 2, 2, 2, 3, 3))
