"""Nested steps out of GPT's pseudofermions: S, F and noise, gauge part ours or GPT's, exactness."""

import importlib.util

import numpy as np
import pytest
import torch
from two_flavour.dirac import Quark
from two_flavour.quarks import Pseudofermions

from l2hmc_bridge.adapters.hosts import gpt, gpt_terms as bridge
from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import nested as gate
from l2hmc_bridge.sampling.draws import draw_momenta
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import check_terms
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.fields import rough_links
from tests.support.places import EXAMPLES
from tests.support.standins import gpt_quarks_standin, gpt_standin

LATTICE = (4, 2, 2, 4)  # t, x, y, z
KAPPA, MU = 0.15, 0.6
g = gpt_quarks_standin.library()


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("gpt_two_flavour",
                                                  EXAMPLES / "gpt_two_flavour.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def field(generator):
    links = rough_links(generator, LATTICE)
    U = gpt_standin.unit(gpt_standin.grid([*LATTICE[1:], LATTICE[0]], gpt_standin.double))
    gpt.from_links(links, U)
    return links, U


def test_a_term_is_gpts_action(field, example):
    """Against the same quarks written for torch: S and F of GPT's phi, scaled by 2 kappa."""
    links, U = field
    rng = g.random("noise")
    term, = example.quarks(g, U, rng, KAPPA, MU).terms
    assert term.refresh(links, None) is True
    assert term.report().solves == 0
    own = Pseudofermions(Quark(KAPPA, 2 * KAPPA * MU), tolerance=1e-12)
    value, force = term(links), term.force(links)
    assert term.report().solves == 2
    check_terms((term,), links, torch.Generator().manual_seed(1))
    # phi of this draw: the generator of the stand-in seeds ours
    seed = int(np.random.default_rng(list(b"noise")).integers(2**31))
    own.refresh(links, torch.Generator().manual_seed(seed))
    assert abs(value - own(links)).max() < 1e-8 * value
    assert (force - own.force(links)).abs().max() < 1e-6 * force.abs().max()


def test_gpts_fields_are_not_touched_by_a_term(field, example):
    links, U = field
    term, = example.quarks(g, U, g.random("x"), KAPPA, MU).terms
    moved = rough_links(torch.Generator().manual_seed(8), LATTICE)
    term.refresh(moved, None)
    term.force(moved)
    assert torch.equal(gpt.to_links(U), links)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["ours", "gpt"])
def test_a_nested_step_is_reversible_with_either_gauge_part(which, field, example, generator):
    links, U = field
    host = example.quarks(g, U, g.random("y"), KAPPA, MU)
    inner = example.gauge_step(g, U, 5.7, which)
    kernel = Nested(inner, (Level("quarks", host.terms, schedule("omf2", 0.25, 2)),))
    failed = [check for check in gate.on_host(kernel, links, generator) if not check.passed]
    assert failed == []
    with torch.no_grad():
        state = kernel.refreshed(kernel.init(links), generator)
        _, info = kernel.moved(state, draw_momenta(links, generator), generator)
    assert abs(float(info.delta_h)) < 1.0 and info.levels[0].forces == 5


def test_gpts_integrator_is_that_of_its_scheme(field, generator):
    """Leapfrog of GPT inside is our leapfrog: same links, same momenta, S up to its constant."""
    links, U = field
    example_of = g.algorithms.integrator.symplectic
    own, action = g.copy(U), g.qcd.gauge.action.wilson(5.7)
    pi, kinetic = g.group.cartesian(own), g.qcd.scalar.action.mass_term()
    integrator = example_of.leap_frog(
        3, example_of.update_p(pi, lambda: action.gradient(own, own)),
        example_of.update_q(own, lambda: kinetic.gradient(pi, pi)))
    step = bridge.gauge_step(integrator, own, pi, action, forces=3).scaled(0.3)
    ours = HMC(GaugeAction(5.7), 0.1, 3, "leapfrog")
    momenta = draw_momenta(links, generator)
    mine, theirs = (one.trajectory(one.init(links), momenta, generator) for one in (step, ours))
    assert (mine.links - theirs.links).abs().max() < 1e-13
    assert (mine.momenta - theirs.momenta).abs().max() < 1e-13
    constant = float(step.init(links).action - ours.init(links).action)
    assert constant == pytest.approx(6 * 5.7 * links[0, 0, ..., 0, 0].numel(), rel=1e-12)
    assert mine.force is None and mine.force_evaluations == 3 and step.length == 0.3


@pytest.mark.parametrize("which", ["ours", "gpt"])
def test_a_solver_at_its_limit_is_a_reject(which, field, example):
    _, U = field
    host = example.quarks(g, U, g.random("z"), KAPPA, MU, sloppy={**example.SLOPPY, "maxiter": 2})
    gauge = HMC(GaugeAction(5.7), 0.5, 2)
    inner = gauge if which == "ours" else example.gauge_step(g, U, 5.7, which)
    kernel = Nested(inner, (Level("quarks", host.terms, schedule("omf2", 0.25, 1)),))
    before = gpt.to_links(U)
    update = bridge.nested_update(kernel, g.random("w"))
    accepted, delta = update(U)
    assert (accepted, delta) == (False, float("inf")) and torch.equal(gpt.to_links(U), before)
    assert update.infos[0].unsolved.tolist() == [True] and update.unsolved == 1


@pytest.mark.slow
@pytest.mark.parametrize("which", ["ours", "gpt"])
def test_the_stream_of_the_example(which, example, tmp_path):
    rows, usage = example.stream(g, (2, 2, 2, 4), 2.0, 0.12, 0.1, 6, which, outer=3, thermalise=3,
                                 folder=tmp_path, write=3)
    assert len(rows) == 6 and sum(accepted for accepted, _, _ in rows) >= 4
    assert all(abs(delta) < 3 for _, delta, _ in rows)
    assert usage["quarks"]["forces"] == 7 and usage["quarks"]["solves"] == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpoint_lat.3", "ckpoint_lat.6"]


def test_the_example_does_not_write_over_a_stream(example, tmp_path):
    (tmp_path / "ckpoint_lat.120").write_bytes(b"theirs")
    with pytest.raises(FileExistsError, match="expected no ckpoint_lat"):
        example.stream(g, (2, 2, 2, 4), 2.0, 0.12, 0.1, 1, folder=tmp_path)


@pytest.mark.slow
def test_the_example_makes_its_folder(example, tmp_path):
    folder = tmp_path / "new" / "one"
    example.stream(g, (2, 2, 2, 4), 2.0, 0.12, 0.1, 1, thermalise=0, folder=folder, write=1)
    assert [path.name for path in folder.iterdir()] == ["ckpoint_lat.1"]


def test_what_the_training_asks_for_is_this_host(example, monkeypatch):
    """The factory of `train`: one configuration, terms and parameters of the stream's own host."""
    monkeypatch.setattr(gpt, "library", lambda: g)
    host = example.host((4, 2, 2, 2), KAPPA, MU)
    U = g.qcd.gauge.unit(g.grid([2, 2, 2, 4], g.double))
    own = example.quarks(g, U, g.random("x"), KAPPA, MU)
    assert (host.name, host.parameters) == (own.name, own.parameters)
    links = rough_links(torch.Generator().manual_seed(4), (4, 2, 2, 2))
    check_terms(host.terms, links, torch.Generator().manual_seed(1))


@pytest.mark.slow
def test_levels_of_a_bundle_come_with_their_inner_step(example):
    rows, usage = example.stream(g, (2, 2, 2, 4), 2.0, 0.12, 0.1, 2, levels="quarks", length=0.5,
                                 thermalise=0)
    assert len(rows) == 2 and usage["quarks"]["forces"] == 17


def test_a_single_precision_grid_is_refused():
    U = gpt_standin.unit(gpt_standin.grid([2, 2, 2, 4], gpt_standin.single))
    with pytest.raises(LayoutError, match="double precision"):
        bridge.host_term("quarks", None, U, None, None)


def test_an_integrator_without_fields_is_refused():
    with pytest.raises(ActionError, match="four lattices"):
        bridge.gauge_step(None, [], [], None)


def test_momenta_go_through_gpt_unchanged(field, generator):
    links, U = field
    pi = gpt_standin.group.cartesian(U)
    momenta = draw_momenta(links, generator)
    gpt.from_momenta(momenta, pi)
    assert (gpt.to_momenta(pi) - momenta).abs().max() == 0
    assert su3.kinetic(momenta)[0] == pytest.approx(g.qcd.scalar.action.mass_term()(pi))
