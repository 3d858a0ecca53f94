"""s_U inside drifts: inverse, log|J|, covariance, averages; in bundles and by both engines."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.cpu import library, smearing as compiled
from l2hmc_bridge.gate import laws, rows as gate
from l2hmc_bridge.l2hmc.compiled import CompiledEngine
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.networks.smeared import SmearedDrift
from l2hmc_bridge.systems.actions import GaugeAction, hot_start
from tests.l2hmc.test_kernel import make_kernel, phase_point

LATTICE = (4, 2, 4, 2)


def smeared(kind, generator, composition="palindrome", size=6.0, **others):
    """A kernel whose drifts smear: rho varies from link to link by some hundredths."""
    kernel = make_kernel(kind, generator, composition=composition, step=0.15, steps=2, **others)
    network = SmearedDrift(len(kernel.steps.drifts), 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 1, generator=generator)
        network.weight.mul_(size), network.bias.mul_(size)
    return replace(kernel, drift_network=network)


@pytest.mark.parametrize("composition", ["palindrome", "direction"])
@pytest.mark.parametrize("kind", ["steps", "kick", "mixing"])
def test_laws_of_a_drift_with_a_jacobian(kind, composition, generator):
    kernel = smeared(kind, generator, composition)
    links, momenta = phase_point(generator, LATTICE, 2)
    phi, back = laws.forward_map(kernel), laws.inverse_map(kernel)
    for pair in ((phi, back), (back, phi)):
        defects = laws.round_trip(*pair, links, momenta)
        assert max(defects[:2]) < 1e-12 and defects[2] < 1e-9
    with torch.no_grad():
        assert float(phi(links, momenta)[2].abs().min()) > 0.5
    assert laws.covariance_defect(phi, links, momenta, generator) < 1e-10
    assert max(laws.translation_defect(phi, links, momenta, mu, 2) for mu in range(4)) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["steps", "mixing"])
def test_log_det_is_that_of_the_dense_jacobian(kind, generator):
    kernel = smeared(kind, generator)
    links, momenta = phase_point(generator, (2, 2, 2, 2))
    assert laws.jacobian_defect(laws.forward_map(kernel), links, momenta) < 1e-7


@pytest.mark.slow
def test_a_lost_log_det_is_caught(generator, monkeypatch):
    kernel = smeared("steps", generator)
    links, momenta = phase_point(generator, (2, 2, 2, 2))
    honest, blocks = SmearedDrift.move, compiled.transform_blocks

    def move(self, *given):
        moved, change = honest(self, *given)
        return moved, 0 * change

    monkeypatch.setattr(SmearedDrift, "move", move)
    monkeypatch.setattr(compiled, "transform_blocks", lambda *given: 0 * blocks(*given))
    assert laws.jacobian_defect(laws.forward_map(kernel), links, momenta) > 0.5


@torch.no_grad()
@pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
@pytest.mark.parametrize("kind", ["steps", "kick", "mixing"])
def test_both_engines_go_the_same_way(kind, generator):
    kernel = smeared(kind, generator)
    links, momenta = phase_point(generator, LATTICE, 2)
    force, ends = kernel.action.force(links), []
    for engine in (CompiledEngine, TorchEngine):
        assert engine.serves(kernel, links)
        at = engine.enter(kernel, links, momenta, force)
        kernel.palindrome(at)
        ends.append(at.leave())
    for name in ("links", "momenta", "log_det", "force"):
        torch.testing.assert_close(*(getattr(end, name) for end in ends), rtol=0, atol=1e-10)


@pytest.mark.slow
@torch.no_grad()
def test_plaquette_and_weights_at_strong_coupling(generator):
    """0.0601266 at beta = 1 on 4^4; <exp(-dH + log|J|)> = 1."""
    kernel = smeared("steps", generator, size=1.5, action=GaugeAction(1.0))
    state = kernel.init(hot_start((4, 4, 4, 4), generator, 8))
    found, weights = [], []
    for _ in range(60):
        state, info = kernel.step(state, generator)
        found.append(fast.plaquettes(state.links).mean(1))
        weights.append(info.log_ratio.exp())
    assert float(info.log_det.abs().max()) > 0.02
    mean = estimate(torch.stack(found, 1)[:, 10:].numpy())
    weight = estimate(torch.stack(weights, 1)[:, 10:].numpy())
    assert abs(mean.value - 0.0601266) < 4 * mean.error < 5e-3
    assert abs(weight.value - 1) < 4 * weight.error < 0.3


def test_bundle_and_quick_gate(generator, tmp_path):
    kernel = smeared("kick", generator)
    bundle.save(tmp_path / "b.safetensors", kernel, {}, (5.7, 5.9))
    loaded = bundle.load(tmp_path / "b.safetensors").kernel
    assert type(loaded.drift_network) is SmearedDrift
    assert architecture.describe(loaded) == architecture.describe(kernel)
    assert architecture.nature(loaded) == "trained steps, kick network, drift network"
    links, _ = phase_point(generator, LATTICE, 2)
    checks = gate.quick(loaded, links, generator)
    assert all(one.passed for one in checks), [one for one in checks if not one.passed]


@pytest.mark.parametrize("part, given, found", [
    ("kick_network", {"kind": "smeared"}, "kick_network.kind: expected another than 'smeared'"),
    ("drift_network", {"kind": "smeared", "sweeps": 2}, "drift_network.sweeps: unknown key"),
    ("drift_network", {"kind": "smeared", "bound": 0.2}, "0 < bound < 0.125"),
])
def test_wrong_descriptions_are_refused(part, given, found):
    with pytest.raises(ConfigError, match=found):
        architecture.untrained(GaugeAction(5.8), "omf2", 0.1, 1, **{part: given})
