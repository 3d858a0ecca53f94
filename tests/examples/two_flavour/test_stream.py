"""The stream of the example: against exact determinants, against the gauge step, its JSON."""

import json

import pytest
import torch
from two_flavour import stream
from two_flavour.host import two_flavour

from l2hmc_bridge import models
from l2hmc_bridge.bundle import file as bundle, nested as nested_bundle
from l2hmc_bridge.errors import BundleError
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import draw_momenta
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support import determinants
from tests.support.fields import rough_links

BETA, KAPPA, TWIST = 5.0, 0.15, 0.177
SMALL = ["--lattice", "2,2,2,2", "--beta", str(BETA), "--kappa", str(KAPPA), "--two-kappa-mu",
         str(TWIST), "--pion-every", "0", "--tolerance", "1e-6"]


def run(*more):
    return stream.main([*SMALL, *map(str, more)])


@pytest.mark.slow
def test_plaquette_by_exact_determinants():
    """With and without a Hasenbusch ratio, gauge part HMC or trained steps; quenched is far off."""
    plaquettes, weights = determinants.sampled(BETA, KAPPA, TWIST, 48, 40, seed=3)
    value, error, share = determinants.reweighted(plaquettes, weights)
    assert error < 2.5e-3 and share > 0.4
    for more in (("--outer", 2), ("--outer", 2, "--hasenbusch", 0.5, "--kernel", "wilson")):
        found = run("-n", 50, "--chains", 24, "--thermalise", 8, "--seed", 5, *more)
        mean = found["plaquette"]
        assert mean["error"] < 3e-3
        assert abs(mean["value"] - value) < 4 * (mean["error"] ** 2 + error**2) ** 0.5
        assert found["acceptance"] > 0.7 and found["unsolved"] == 0 and not found["warnings"]
    quenched = 0.4852  # of the same lattice and beta; 0.557 with quarks
    assert abs(value - quenched) > 10 * error


def test_without_hopping_it_is_the_gauge_step(generator):
    """kappa = 0: the same links and momenta as the inner step alone, drift after drift."""
    host = two_flavour((2, 2, 4, 2), 0.0, 0.3)
    for inner in (HMC(GaugeAction(5.5), 0.5, 2),
                  bundle.load(models.default(), 5.5).kernel):
        kernel = Nested(inner, (Level("quarks", host.terms, schedule("omf2", 0.2, 2)),))
        links = rough_links(generator, (2, 2, 4, 2), 2)
        with torch.no_grad():
            state = kernel.refreshed(kernel.init(links), generator)
            momenta = draw_momenta(links, generator)
            end, (_, info) = (kernel.trajectory(state, momenta, generator),
                              kernel.moved(state, momenta, generator))
            plain, moving = inner.init(links), momenta
            for drift in kernel.levels[0].plan.drifts:
                part = inner.scaled(drift / inner.length).trajectory(plain, moving, generator)
                plain, moving = markov.State(part.links, plain.action, part.force), part.momenta
        assert torch.equal(end.links, plain.links) and torch.equal(end.momenta, moving)
        gauge = GaugeAction(5.5)
        expected = gauge(plain.links) - gauge(links)
        assert (info.delta_action - expected).abs().max() < 1e-9


@pytest.mark.slow
def test_json_and_its_keys(tmp_path):
    out = tmp_path / "out.json"
    run("-n", 8, "--chains", 4, "--thermalise", 2, "--outer", 2, "--pion-every", 4, "--json", out)
    found = json.loads(out.read_text())
    assert {"value", "error", "tau_int"} <= set(found["plaquette"])
    assert 0 <= found["acceptance"] <= 1 and found["exp_minus_dh"]["not_finite"] == 0
    level = found["levels"]["quarks"]
    assert level["forces"] == pytest.approx(5) and level["solves"] == pytest.approx(5)
    assert level["iterations"] == pytest.approx(5 * level["iterations_per_solve"])
    assert found["gauge_forces"] == 16
    assert len(found["pion"]["correlator"]) == 2 and len(found["pion"]["ratios"]) == 1
    assert found["options"]["kappa"] == KAPPA


def test_any_trajectory_can_be_run_again_alone():
    """Chains do not know of each other: one of two alone goes the same way."""
    given = stream.options([*SMALL, "--chains", "2", "--outer", "2"])
    host = two_flavour((2, 2, 2, 2), KAPPA, TWIST)
    kernel = stream.kernel_of(given, host)
    links = rough_links(torch.Generator().manual_seed(2), (2, 2, 2, 2), 2)
    state, _ = kernel.step(kernel.init(links), stream.generators(9, 2, 1))
    alone, _ = kernel.step(kernel.init(links[:1]), stream.generators(9, 1, 1))
    assert (state.links[:1] - alone.links).abs().max() < 1e-12


def test_a_solver_that_gives_up_is_said_aloud(monkeypatch):
    monkeypatch.setattr(stream, "check_terms", lambda *arguments: None)  # it would refuse to start
    found = run("-n", 5, "--chains", 4, "--thermalise", 0, "--outer", 1, "--limit", 3)
    assert found["unsolved"] == 20 and found["acceptance"] == 0
    assert "20 of 20 trajectories were rejected because a solver gave up" in found["warnings"][0]


@pytest.mark.slow
def test_a_bundle_with_levels_runs_on_its_host_alone(tmp_path):
    host = two_flavour((2, 2, 2, 2), KAPPA, TWIST)
    inner = bundle.load(models.default(), BETA).kernel
    kernel = Nested(inner, (Level("quarks", host.terms, schedule("omf4", 0.5, 1)),))
    path = tmp_path / "levels.safetensors"
    nested_bundle.save(path, kernel, host, {})
    found = run("-n", 6, "--chains", 4, "--thermalise", 2, "--kernel", path)
    assert found["levels"]["quarks"]["forces"] == pytest.approx(6)
    with pytest.raises(BundleError, match="with kappa = 0.15, found 0.16"):
        run("-n", 1, "--kernel", path, "--kappa", 0.16)


def test_the_level_that_ships_runs_on_this_host_as_tuned(monkeypatch):
    """All terms in one level, kicked 17 times; the lighter the quark, the shorter its steps."""
    monkeypatch.setattr(stream, "TRAJECTORIES", 3)
    shipped = nested_bundle.load(models.path("quarks"), BETA).kernel
    more = ("-n", 1, "--thermalise", 0, "--kernel", "quarks", "--chains")
    found = run(*more, 1)
    assert found["length"] == pytest.approx(shipped.length)
    assert found["plaquette"]["error_between_chains"] is None
    found = run(*more, 2, "--hasenbusch", 0.5, "--tune")
    assert found["levels"]["quarks"]["forces"] == pytest.approx(17)
    assert found["length"] != pytest.approx(shipped.length)
