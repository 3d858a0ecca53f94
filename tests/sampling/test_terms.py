"""Terms of a host: every fault has a name, a solver that gives up costs one trajectory."""

from collections.abc import Callable

import pytest
import torch

from l2hmc_bridge.errors import ActionError, ConfigError, SolverError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.terms import Host, HostTerm, SolverReport, check_terms
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.fields import rough_links

ACTION = GaugeAction(0.7, -0.3)
LATTICE = (2, 2, 4, 2)


def term(action: Callable = ACTION, force: Callable = ACTION.force, **more):
    return HostTerm("quarks", action, force, **more)


@pytest.fixture
def links(generator):
    return rough_links(generator, LATTICE, chains=2)


def changing(links):
    links[:, 0, -1] *= -1
    return ACTION(links)


class Remembers:
    """A force that starts from the one before, as a solver with a guess."""

    def __init__(self):
        self.last = 0

    def __call__(self, links):
        new = ACTION.force(links)
        self.last, mixed = new, new + 1e-6 * self.last
        return mixed


def test_a_right_term_passes(links, generator):
    check_terms((term(),), links, generator)


@pytest.mark.parametrize("wrong, message", [
    (term(force=lambda links: -ACTION.force(links)), "'quarks'.*dS/dt = <P, F>"),
    (term(force=lambda links: 1.001 * ACTION.force(links)), "'quarks'.*dS/dt = <P, F>"),
    (term(action=lambda links: ACTION(links) + 1e-3 * su3.trace(links[:, 1]).real.sum((1, 2, 3, 4))
          ), "'quarks'.*dS/dt = <P, F>"),
    (term(force=Remembers()), "'quarks'.*depends on its history"),
    (term(action=changing), "'quarks'.*it changed them: work on a copy"),
    (term(force=lambda links: ACTION.force(links) / 0), "'quarks'.*a force of finite numbers"),
    (term(action=lambda links: ACTION(links) * torch.nan), "'quarks'.*an S of finite numbers"),
    (term(action=lambda links: ACTION(links).to(torch.complex128)), "'quarks'.*real number"),
    (term(force=lambda links: 1j * ACTION.force(links)), "'quarks'.*it is Hermitian"),
    (term(force=lambda links: ACTION.force(links)[:1]), "'quarks'.*found torch.complex128"),
])
def test_every_fault_is_named(wrong, message, links, generator):
    with pytest.raises(ActionError, match=message):
        check_terms((wrong,), links, generator)


def test_a_host_that_changes_its_links_through_numpy_is_found(links, generator):
    def behind(links):
        array = links.numpy()
        array[:, 0] = -array[:, 0]
        return ACTION(links)

    with pytest.raises(ActionError, match="it changed them"):
        check_terms((term(action=behind),), links, generator)


def test_phases_in_the_links_are_named(links, generator):
    signed, other = links.clone(), links.clone()
    signed[:, 0, -1] *= -1
    other[:, 2, 0] *= -1
    for one, message in ((signed, "antiperiodic quark boundaries"), (other, "phases multiplied in"),
                         (1.1 * links, "max|U U")):
        with pytest.raises(ActionError, match=message.replace("|", r"\|")):
            check_terms((term(),), one, generator)


def test_a_solver_that_gives_up_by_report(links):
    failed = torch.tensor([False, True])
    one = term(report=lambda: SolverReport(1, 50.0, failed))
    values, force = one(links), one.force(links)
    assert values.isfinite().tolist() == [True, False]
    assert force.flatten(1).isfinite().all(1).tolist() == [True, False]
    report = one.report()
    assert (report.solves, report.iterations) == (2, 100.0)
    assert report.failed.tolist() == [False, True]
    assert one.report() == SolverReport()


def test_a_solver_that_gives_up_by_an_error(links, generator):
    def gives_up(links):
        raise SolverError("10000 iterations")

    one = term(action=gives_up)
    assert one(links).isnan().all() and one.report().failed.all()
    with pytest.raises(SolverError, match="'quarks'.*gives up"):
        check_terms((term(force=gives_up),), links, generator)


def test_what_the_host_raises_on_one_process_is_its_own(links, generator):
    def fails(*_):
        raise ValueError("device lost")

    for one in (term(action=fails), term(report=fails), term(refresh=fails)):
        with pytest.raises(ValueError, match="^device lost$"):
            check_terms((one,), links, generator)


def test_links_that_diverged_never_reach_the_host(links):
    broken = links.clone()
    broken[1, 0, 0, 0, 0, 0] = torch.nan
    seen = []
    one = term(action=lambda links: seen.append(links) or ACTION(links))
    assert one(broken).isfinite().tolist() == [True, False]
    assert seen[0].isfinite().all()
    assert one.force(broken).flatten(1).isfinite().all(1).tolist() == [True, False]


def test_reports_join():
    one = SolverReport(1, 5.0, torch.tensor([True, False]))
    both = one.joined(SolverReport(2, 7.0, torch.tensor([False, False])))
    assert (both.solves, both.iterations, both.failed.tolist()) == (3, 12.0, [True, False])


def test_noise_is_drawn_if_there_is_any(links, generator):
    drawn = []
    assert not term().noisy and term().refresh(links, generator) is False
    noisy = term(refresh=lambda links, generator: drawn.append(generator))
    assert noisy.noisy and noisy.refresh(links, generator) is True and drawn == [generator]


def test_a_host_names_its_terms():
    host = Host("mine", {"mass": 0.1}, (term(),))
    assert host.term("quarks") is host.terms[0]
    with pytest.raises(ConfigError, match=r"expected one of the terms \['quarks'\], found 'light'"):
        host.term("light")
