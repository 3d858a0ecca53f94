"""Nested steps: the scheme is the one that its levels say, exact, with every force computed once.

The host term of these tests is a rectangle action of ours, so that plain HMC for the whole action
stands beside; quarks come in tests/examples/two_flavour.
"""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.errors import ActionError, ConfigError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, integrate
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.sampling.integrators import INTEGRATORS, Schedule, schedule
from l2hmc_bridge.sampling.levels import Level, usage
from l2hmc_bridge.sampling.mixture import Mixture
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import HostTerm, SolverReport
from l2hmc_bridge.sampling.tuning import tune
from l2hmc_bridge.systems.actions import GaugeAction, hot_start
from tests.l2hmc.test_kernel import make_kernel
from tests.support.fields import rough_links

GAUGE, EXTRA = GaugeAction(2.0), GaugeAction(0.6, -0.2)
LATTICE = (2, 2, 4, 2)
FINE = HMC(GAUGE, 0.25, 4, "omf4")  # of unit length
NAN, INFINITE = float("nan"), float("inf")
TERMS = (HostTerm("x", EXTRA, EXTRA.force), HostTerm("y", EXTRA, EXTRA.force))


class Counted:
    """The host: counts what it is asked for, and multiplies S by noise drawn once a trajectory."""

    def __init__(self, action=EXTRA, noisy=True):
        self.action, self.factor = action, None if noisy else 1.0
        self.actions = self.forces = self.draws = 0

    def __call__(self, links):
        self.actions += 1
        return self.factor * self.action(links)

    def force(self, links):
        self.forces += 1
        return self.factor * self.action.force(links)

    def refresh(self, links, generator):
        self.draws += 1
        self.factor = 0.8 + 0.4 * float(markov.draw_uniform(1, generator))


def level(name="quarks", plan=None, repeats=1, host=None):
    host = host or Counted(noisy=False)
    noise = host.refresh if host.factor is None else None
    return Level(name, (HostTerm(name, host, host.force, noise),),
                 plan or schedule("omf2", 0.1, 2), repeats)


def start(generator, kernel, chains=2):
    links = rough_links(generator, LATTICE, chains)
    return kernel.refreshed(kernel.init(links), generator), markov.draw_momenta(links, generator)


def test_levels_of_the_same_split_are_plain_hmc(generator):
    """With one leapfrog step in each drift, nested leapfrog is a scheme that can be written out."""
    nested = Nested(HMC(GAUGE, 1.0, 1, "leapfrog"), (level(plan=schedule("leapfrog", 0.1, 3)),))
    state, momenta = start(generator, nested)
    ours = nested.trajectory(state, momenta, generator)
    both = nested.action
    theirs = integrate(both, state._replace(force=both.force(state.links)), momenta,
                       schedule("leapfrog", 0.1, 3))
    assert (ours.links - theirs.links).abs().max() < 1e-14
    assert (ours.momenta - theirs.momenta).abs().max() < 1e-14
    assert (ours.force - GAUGE.force(ours.links)).abs().max() < 1e-14
    assert (ours.level_forces[:, 0] - EXTRA.force(ours.links)).abs().max() < 1e-14


def test_two_levels_and_repeats_written_out(generator):
    """Outer leapfrog of one step; inside, leapfrog of the other term, twice over half the time."""
    other = Counted(GaugeAction(0.3, 0.1), noisy=False)
    nested = Nested(HMC(GAUGE, 1.0, 1, "leapfrog"), (
        level("inner", schedule("leapfrog", 1.0, 1), 2, other),
        level("outer", schedule("leapfrog", 0.2, 1), 3)))
    state, momenta = start(generator, nested)
    ours = nested.trajectory(state, momenta, generator)
    links, time = state.links, 0.2
    momenta = momenta - time / 2 * EXTRA.force(links)
    for _ in range(3):
        momenta = momenta - time / 6 * other.action.force(links)
        for _ in range(2):
            momenta = momenta - time / 12 * GAUGE.force(links)
            links = fast.expm_multiply(momenta, links, time / 6)
            momenta = momenta - time / 12 * GAUGE.force(links)
        momenta = momenta - time / 6 * other.action.force(links)
    momenta = momenta - time / 2 * EXTRA.force(links)
    assert (ours.links - links).abs().max() < 1e-14
    assert (ours.momenta - momenta).abs().max() < 1e-14
    assert ours.level_evaluations == (3, 1) and ours.force_evaluations == 6


@pytest.mark.parametrize("integrator, order", [(one.name, one.order)
                                               for one in INTEGRATORS.values()])
def test_order_of_the_outer_scheme(integrator, order, generator):
    """dH ~ h^order at fixed length, the inner flow being exact for its purpose."""
    host = Counted(GaugeAction(2.0, -0.3), noisy=False)
    errors = []
    for steps in (4, 8):
        plan = schedule(integrator, 0.4 / steps, steps)
        nested = Nested(FINE, (level(plan=plan, repeats=2, host=host),))
        state, momenta = start(torch.Generator().manual_seed(5), nested, 6)
        _, info = nested.moved(state, momenta, generator)
        errors.append(float(info.delta_h.square().mean().sqrt()))
    assert order - 0.5 < torch.log2(torch.tensor(errors[0] / errors[1])) < order + 1


def test_involution_with_negative_drifts_and_displacements(generator):
    plan = Schedule((0.03, 0.05, 0.05, 0.03), (0.09, -0.02, 0.09), (0.001, 0.0, 0.0, 0.001))
    nested = Nested(FINE, (level("a", schedule("omf4", 0.5, 1)), level("b", plan, (2, 1, 2))))
    state, momenta = start(generator, nested)
    end = nested.trajectory(state, momenta, generator)
    back = nested.trajectory(nested.at(end.links), -end.momenta, generator)
    assert (back.links - state.links).abs().max() < 1e-13
    assert (back.momenta + momenta).abs().max() < 1e-13


def test_log_det_of_the_inner_step_adds_up(generator):
    inner = make_kernel("all", generator, "leapfrog", "palindrome", 1, 0.2, GAUGE)
    nested = Nested(inner, (level(plan=schedule("leapfrog", 0.3, 2)),))
    state, momenta = start(generator, nested)
    with torch.no_grad():
        end = nested.trajectory(state, momenta, generator)
        back = nested.trajectory(nested.at(end.links), -end.momenta, generator)
        half = inner.scaled(0.3 / inner.length)
        kicked = momenta - 0.15 * EXTRA.force(state.links)
        first = half.trajectory(state, kicked, generator)
        kicked = first.momenta - 0.3 * EXTRA.force(first.links)
        second = half.trajectory(half.init(first.links), kicked, generator)
    assert end.log_det.abs().min() > 1e-3
    assert (end.log_det - first.log_det - second.log_det).abs().max() < 1e-12
    assert (end.log_det + back.log_det).abs().max() < 1e-11


def test_each_force_once(generator):
    """Forces across levels, inner trajectories and trajectories of the stream."""
    still = Counted(noisy=False)
    nested = Nested(FINE, (level(plan=schedule("omf2", 0.1, 3), host=still),))
    state = nested.init(rough_links(generator, LATTICE))
    assert (still.actions, still.forces) == (1, 1)
    for number in range(1, 4):
        state, info = nested.step(state, generator)
        assert info.levels[0].forces == 6 and info.force_evaluations == 6 * 20
        assert (still.actions, still.forces) == (1 + number, 1 + 6 * number)
    assert still.draws == 0


def test_new_noise_voids_the_levels_that_have_it_alone(generator):
    noisy, still = Counted(), Counted(noisy=False)
    nested = Nested(FINE, (level("still", schedule("omf2", 0.5, 1), host=still),
                           level("noisy", schedule("omf2", 0.1, 2), host=noisy)))
    state = nested.init(rough_links(generator, LATTICE))
    assert state.action.isnan().all() and noisy.forces == still.forces == 0
    state, _ = nested.step(state, generator)
    before = (still.forces, noisy.forces)
    state, info = nested.step(state, generator)
    assert noisy.draws == 2 and [one.forces for one in info.levels] == [8, 5]
    assert (still.forces - before[0], noisy.forces - before[1]) == (8, 5)
    fresh = nested.at(state.links)
    for one, other in zip(fresh[:5], state[:5], strict=True):
        assert torch.equal(one, other)


def test_a_state_without_noise_is_refused(generator):
    nested = Nested(FINE, (level(host=Counted()),))
    state = nested.init(rough_links(generator, LATTICE))
    with pytest.raises(ConfigError, match="drawn no noise"):
        nested.moved(state, markov.draw_momenta(state.links, generator), generator)


@pytest.mark.slow
def test_exact_with_noise_whatever_the_force(generator):
    """beta = 1 and noise that averages out of nothing: against HMC for each drawn factor.

    S = S_gauge(1 - f) + f S_gauge with f drawn anew each trajectory: the sum is S_gauge(1) always,
    whose plaquette on 4^4 is 0.0601266; the force of the second term is wrong by a twentieth.
    """
    host, chains = Counted(GaugeAction(1.0)), 12

    class Rest:
        group = "su3"

        def __call__(self, links):
            return (1 - host.factor) * host.action(links)

        def force(self, links):
            return (1 - host.factor) * host.action.force(links)

    wrong = HostTerm("wrong", host, lambda links: 0.95 * host.force(links), host.refresh)
    host.factor = 1.0  # of the start, before any is drawn
    rest = HostTerm("rest", Rest(), Rest().force, lambda links, generator: None)
    nested = Nested(HMC(GaugeAction(0.0), 1.0, 1, "leapfrog"),
                    (Level("both", (wrong, rest), schedule("omf2", 0.5, 1)),))
    warm = HMC(GaugeAction(1.0), 0.5, 3)
    state = warm.init(hot_start((4, 4, 4, 4), generator, chains))
    for _ in range(10):
        state, _ = warm.step(state, generator)
    rows, state = [], nested.init(state.links)
    for _ in range(70):
        state, info = nested.step(state, generator)
        rows.append((fast.plaquettes(state.links).mean(1), -info.log_ratio))
    plaquettes, delta = (torch.stack(column, 1)[:, 10:].numpy() for column in
                         zip(*rows, strict=True))
    mean, (weight, _) = estimate(plaquettes), exp_minus_dh(delta)
    assert mean.error < 1e-3 and abs(mean.value - 0.0601266) < 4 * mean.error
    assert weight.error < 0.15 and abs(weight.value - 1) < 4 * weight.error


def test_a_solver_that_gives_up_is_a_reject_and_counted(generator):
    failed = torch.tensor([True, False, False])
    reports = iter([SolverReport(1, 10.0)] * 3 + [SolverReport(1, 99.0, failed)]
                   + [SolverReport(1, 10.0)] * 100)
    term = HostTerm("quarks", EXTRA, EXTRA.force, report=lambda: next(reports))
    nested = Nested(FINE, (Level("quarks", (term,), schedule("omf2", 0.1, 2)),))
    state = nested.init(rough_links(generator, LATTICE, 3))
    before = state.links
    state, info = nested.step(state, generator)
    assert info.unsolved.tolist() == failed.tolist() and info.accepted.tolist() == [False, True,
                                                                                    True]
    assert torch.equal(state.links[0], before[0]) and state.links.isfinite().all()
    state, info = nested.step(state, generator)
    assert info.unsolved is None and state.links.isfinite().all()
    assert info.levels[0].solves == 5 and info.levels[0].iterations == 50.0


def test_usage_adds_up(generator):
    nested = Nested(FINE, (level(),))
    state, infos = nested.init(rough_links(generator, LATTICE)), []
    for _ in range(3):
        state, info = nested.step(state, generator)
        infos.append(info)
    assert usage(infos)["quarks"]["forces"] == pytest.approx(4)


def test_scaled_length_and_proposal(generator):
    nested = Nested(FINE, (level(host=Counted()),))
    assert nested.scaled(0.5).scaled(3).length == pytest.approx(1.5 * nested.length)
    links = rough_links(generator, LATTICE)
    moved, delta, info = nested.propose(links, generator)
    assert float(delta) == pytest.approx(float(info.delta_kinetic + info.delta_action))
    assert (moved - links).abs().max() > 1e-3


def test_tuning_and_mixtures_take_nested_steps(generator):
    nested = Nested(FINE, (level(host=Counted()),))
    links = rough_links(generator, LATTICE)
    found = tune(nested, nested.init(links), 4, lambda n: torch.Generator().manual_seed(n),
                 lambda *report: False)
    assert found.factor > 1 and found.links.isfinite().all()
    other = replace(nested, levels=(replace(nested.levels[0], plan=schedule("omf4", 0.1, 1)),))
    mixed = Mixture([(nested, 1), (other, 1)])
    state = mixed.init(links)
    for _ in range(4):
        state, info = mixed.step(state, generator)
        assert info.log_ratio.isfinite().all() and info.levels[0].name == "quarks"


@pytest.mark.parametrize("make, message", [
    (lambda: Nested(FINE, ()), "at least one level"),
    (lambda: Level("q", (), schedule("omf2", 0.1, 1)), "level 'q': expected at least one term"),
    (lambda: level(plan=Schedule((1.0,), (), (0.0,))), "expected steps"),
    (lambda: level(plan=Schedule((0.5, 0.5), (1.0,), (0.0,))), "expected steps"),
    (lambda: level(plan=Schedule((0.4, 0.6), (1.0,), (0.0, 0.0))), "the same backwards"),
    (lambda: level(plan=schedule("omf2", 0.1, 1), repeats=(1, 2)), "the same backwards"),
    (lambda: level(repeats=0), "repeats of at least 1"),
    (lambda: level(repeats=(1, 1)), "repeats of at least 1 for each of 4"),
    (lambda: level(plan=schedule("omf2", -0.1, 1)), "positive length"),
    (lambda: level(plan=schedule("omf2", NAN, 1)), "level 'quarks': expected kicks of finite.*nan"),
    (lambda: level(plan=schedule("omf2", INFINITE, 1)), "expected kicks of finite numbers.*inf"),
    (lambda: level(plan=Schedule((0.5, 0.5), (NAN,), (0.0, 0.0))), "expected drifts of finite"),
    (lambda: level(plan=Schedule((0.5, 0.5), (1.0,), (NAN, NAN))), "expected displacements of"),
    (lambda: level(plan=Schedule((1.0,) * 3, (1e308, 1e308), (0.0,) * 3)), "positive length.*inf"),
    (lambda: Nested(FINE, (level(),)).scaled(NAN), "a scale of finite length, found nan"),
    (lambda: Nested(make_kernel("steps").scaled(INFINITE), (level(),)),
     "an inner step of finite length.*inf"),
    (lambda: Nested(FINE, (level(), level("ratio"), level())), "names, found two called 'quarks'"),
    (lambda: Nested(FINE, (Level("a", TERMS, schedule("omf2", 0.1, 1)),
                           Level("b", TERMS[:1], schedule("omf2", 0.1, 1)))),
     r"each term in one level, found 'x' in \['a', 'b'\]: S would count it twice"),
    (lambda: Level("a", (*TERMS, TERMS[0]), schedule("omf2", 0.1, 1)),
     "level 'a': expected each term once, found 'x' twice"),
    (lambda: Nested(make_kernel("kick", composition="direction"), (level(),)), "palindrome"),
    (lambda: Nested(HMC(HostAction(GAUGE, GAUGE.force, refresh=Counted().refresh), 0.1, 2),
                    (level(),)), "noise in terms alone, found it in the inner"),
    (lambda: Nested(FINE, (Level("q", (HostTerm("x", EXTRA, EXTRA.force, group="u1"),),
                                 schedule("omf2", 0.1, 1)),)), "terms on su3.*'x' on u1"),
])
def test_bad_levels_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_links_with_phases_are_refused_at_the_start(generator):
    links = rough_links(generator, LATTICE)
    links[:, 0, -1] *= -1
    with pytest.raises(ActionError, match="antiperiodic"):
        Nested(FINE, (level(),)).init(links)


def test_a_force_that_is_no_gradient_keeps_the_group(generator):
    wrong = HostTerm("w", EXTRA, lambda links: 3 * EXTRA.force(links))
    nested = Nested(FINE, (Level("w", (wrong,), schedule("omf2", 0.2, 4)),))
    state = nested.init(rough_links(generator, LATTICE))
    for _ in range(5):
        state, _ = nested.step(state, generator)
    assert su3.unitarity_defect(state.links).max() < 1e-13
