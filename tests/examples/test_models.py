"""The bundles that come with the examples: gated, small, what they learned, exact answers."""


import pytest
import torch

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields import u1
from l2hmc_bridge.gate import expected
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems import u1_exact
from tests.support.places import EXAMPLES

MODELS = EXAMPLES / "models"
BETAS = (2, 3, 4, 5, 6, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*(f"u1_beta{beta}" for beta in BETAS), "u1_conv", "mixture"])
def test_every_bundle_is_small_and_passed_the_gate(name):
    path = MODELS / f"{name}.safetensors"
    loaded = bundle.load(path)
    expected.require(loaded)
    assert path.stat().st_size < 50_000
    assert loaded.meta["provenance"]["validation"]["kept"] == "trained"


@pytest.mark.parametrize("beta", BETAS)
def test_translations_are_instantons_of_charges_that_reach_every_sector(beta):
    """Learned from random fields: nearly constant field strength, an odd charge among them."""
    network = bundle.load(MODELS / f"u1_beta{beta}.safetensors").kernel.drift_network
    fields = network.weight.detach()[0, 0].T.reshape(-1, 2, 16, 16)
    charges = u1.topological_charge(u1.wrap(fields))
    assert (charges.abs() >= 1).all() and (charges % 2 == 1).any()
    ideal = torch.cos(2 * torch.pi * charges / 256)
    assert (u1.plaquette(fields) - ideal).abs().max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("beta", [3, 5, 7])
def test_chains_from_one_sector_find_the_exact_charge_distribution(beta):
    kernel = bundle.load(MODELS / f"u1_beta{beta}.safetensors", float(beta)).kernel
    generator = torch.Generator().manual_seed(beta)
    hmc, charges = HMC(kernel.action, 0.1, 10, "omf2"), []
    state = hmc.init(u1.cold_start((16, 16), 48))
    for _ in range(30):
        state, _ = hmc.step(state, generator)
    for moved, _ in markov.run(kernel, kernel.init(state.links), 240, generator):
        charges.append(u1.topological_charge(moved.links))
    series = torch.stack(charges[40:], 1)
    found = statistics.estimate(list((series**2).numpy()))
    assert abs(found.value - u1_exact.charge_squared(beta, 256)) < 4 * found.error
    assert found.error < 0.1 * found.value
    assert abs(float(series.mean())) < 0.3
