"""Nested steps on parts of a lattice: the bits of one process, and one answer in all of them."""

import pytest
import torch

from l2hmc_bridge.errors import ActionError, ConfigError, SolverError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields import agreement, su3
from l2hmc_bridge.fields.part import holding, whole
from l2hmc_bridge.ranks.reach import halo, needs_even
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level, usage
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.sampling.terms import HostTerm, SolverReport, check_terms
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.nested_host import rectangles
from tests.support.ranks_worker import WILSON, learned
from tests.support.threads_as_ranks import on_threads

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
LATTICE, DEPTH = (12, 2, 2, 4), 2  # t, x, y, z; kernels and rectangles look two sites far
GRIDS = ("1,1,1,2", "1,1,2,1", "1,1,2,2")
INNER = {"hmc": HMC(WILSON, 0.25, 2, "force_gradient"), "kick network": learned(),
         "drift network, mixing": learned(subsets="turn", mixing=True)}


@pytest.fixture(scope="module")
def links():
    generator = torch.Generator().manual_seed(6)
    return su3.exp(0.4 * su3.random_algebra((2, 4, *LATTICE), generator))


def nested(inner, in_parts=True):
    """Two levels around it, the outer one with displaced kicks, noise in both."""
    heavy, ratio = rectangles(LATTICE, 0.8, 2, in_parts).terms
    return Nested(inner, (Level("heavy", (heavy,), schedule("omf2", 0.25, 2), repeats=2),
                          Level("ratio", (ratio,), schedule("force_gradient", 0.3, 1))))


@torch.no_grad()
def told(inner, links):
    """What two steps come to: links, every S and F, numbers of each step, what levels cost."""
    kernel = nested(inner)
    state, infos = kernel.init(links), []
    for number in range(2):
        state, info = kernel.step(state, numbered(3, [number] * len(links)))
        infos.append(info)
    numbers = [(one.log_ratio.tolist(), one.log_det.tolist(), one.delta_h.tolist(),
                one.accepted.tolist(), one.force_evaluations) for one in infos]
    return state, numbers, usage(infos)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", INNER)
def test_nested_steps_have_the_bits_of_one_process(name, grid, links):
    found = on_threads(grid, LATTICE, DEPTH, lambda part: (
        part, *told(INNER[name], part.taken(links))))
    with holding(whole(LATTICE)):
        state, numbers, costs = told(INNER[name], links)
    assert any(any(accepted) for *_, accepted, _ in numbers) and not torch.equal(state.links, links)
    for part, here, numbers_here, costs_here in found:
        assert (numbers_here, costs_here) == (numbers, costs)
        assert torch.equal(here.links, part.taken(state.links))  # copies, too
        assert torch.equal(here.level_actions, state.level_actions)
        for level in (0, 1):
            assert torch.equal(here.level_forces[:, level],
                               part.taken(state.level_forces[:, level]))


def test_forces_whose_copies_are_left_out_are_found(links, monkeypatch):
    """The outer level kicks at a displaced field, whose copies are displaced by those forces."""

    def left_out(part, own):
        field = own.new_zeros((*own.shape[:2], *part.held, 3, 3))
        part.kept(field).copy_(own)
        return field

    monkeypatch.setattr(agreement, "with_copies", left_out)
    found = on_threads("1,1,1,2", LATTICE, DEPTH, lambda part: told(INNER["hmc"],
                                                                    part.taken(links))[1][0])
    with holding(whole(LATTICE)):
        assert found[0] == found[1] != told(INNER["hmc"], links)[1][0]


def test_how_far_a_nested_step_looks_is_what_its_inner_step_does():
    for inner in INNER.values():
        assert halo(nested(inner)) == halo(inner)
        assert needs_even(nested(inner)) == needs_even(inner)
    with pytest.raises(ConfigError, match="'heavy'.*takes parts of a lattice.*one rank alone"):
        halo(nested(INNER["hmc"], in_parts=False))


EXTRA = GaugeAction(0.6, -0.2)


class Somewhere:
    """A term that one of the processes does otherwise than the others, as `spoil` says."""

    def __init__(self, spoil="nothing", rank=1):
        self.spoil, self.rank, self.failed = spoil, rank, None

    def here(self, what):
        held = agreement.parts.current()
        return self.spoil == what and held.origin[0] // held.extents[0] == self.rank

    def action(self, links):
        if self.here("changes its links"):
            links[:, 0] *= 1
        value = EXTRA(links)
        return value * (1 + 1e-3 * self.here("a sum of its own") + 1e-13 * self.here("rounding"))

    def force(self, links):
        if self.here("gives up"):
            raise SolverError("500 iterations")
        if self.here("fails"):
            raise ValueError("device lost\nat line 3")
        self.failed = torch.tensor([False, self.here("reports that it gave up")])
        force = agreement.own(EXTRA.force(links))
        if self.here("a wrong force"):
            force[:, :, 0, 0, 0, 0] *= 1.3
        if self.here("a force that is no number"):
            force[0, 0, 0, 0, 0, 0, 0, 1] = torch.nan
        return force[:, :, 1:] if self.here("too few sites") else force

    def report(self):
        if self.here("reports nothing"):
            return None
        return SolverReport(1, 5.0 * (1 + self.here("counts otherwise")), self.failed)

    def term(self):
        return HostTerm("quarks", self.action, self.force, None, self.report, in_parts=True)


def raised(work):
    """The error that all ranks raise: the same type and words."""
    found = []

    def one(part):
        try:
            with torch.no_grad():
                work(part)
            found.append("nothing")
        except (ActionError, ConfigError, SolverError) as error:
            found.append(f"{type(error).__name__} {error}")

    on_threads("1,1,1,2", LATTICE, DEPTH, one)
    assert len(found) == 2 and len(set(found)) == 1, found
    return found[0]


@pytest.mark.parametrize(("spoil", "error"), [
    ("nothing", "nothing"),
    ("a wrong force", "ActionError host term 'quarks': expected a force F with dS/dt = <P, F>"),
    ("a sum of its own", "ActionError host term 'quarks': expected one S in all processes"),
    ("a force that is no number", "ActionError host term 'quarks': expected a force of finite"),
    ("too few sites", "ActionError host term 'quarks': host force: expected torch.complex128"),
    ("changes its links", "ActionError host term 'quarks': expected links as they were"),
    ("gives up", "SolverError host term 'quarks': expected a solver that converges"),
    ("fails", "ActionError host term 'quarks': expected a value, found ValueError: device lost at"),
    ("reports nothing", "ActionError host term 'quarks': expected a value, found AttributeError"),
])
def test_what_one_rank_finds_all_refuse(spoil, error, links):
    assert raised(lambda part: check_terms((Somewhere(spoil).term(),), part.taken(links),
                                           numbered(1, [0, 0]))).startswith(error)


@pytest.mark.parametrize("what", ["S", "F", "NaN", "noise"])
def test_a_whole_action_that_fails_on_one_rank_fails_on_all(what, links):
    def fails(part):
        def work(*arguments):
            if part.origin[0] and what == "NaN":
                return arguments[0] * torch.nan
            if part.origin[0]:
                raise KeyError("gone")
            return EXTRA.force(arguments[0]) if what in "F NaN" else torch.zeros(2).double()

        return work

    words = raised(lambda part: {
        "S": lambda u: HostAction(fails(part))(u),
        "F": lambda u: HostAction(EXTRA, fails(part)).force(u),
        "NaN": lambda u: HostAction(EXTRA, fails(part)).force(u),
        "noise": lambda u: HostAction(EXTRA, None, fails(part)).refresh(u, numbered(1, [0, 0])),
    }[what](part.taken(links)))
    assert words.startswith("ActionError host ") and (
        "expected numbers for finite links" if what == "NaN" else "found KeyError: 'gone'") in words
    with pytest.raises(KeyError):  # of one process it is the host's own
        HostAction(lambda links: {}[0])(links)


@pytest.mark.parametrize("spoil", ["gives up", "reports that it gave up"])
def test_a_solver_that_gives_up_on_one_rank_is_a_reject_on_all(spoil, links):
    def work(part):
        term = Somewhere().term()
        kernel = Nested(INNER["hmc"], (Level("quarks", (term,), schedule("omf2", 0.25, 1)),))
        start = part.taken(links)
        state = kernel.init(start)
        term._force = Somewhere(spoil).force  # from here on
        term._report = term._force.__self__.report
        state, info = kernel.step(state, numbered(1, [0, 0]))
        return info, [torch.equal(one, two) for one, two in zip(state.links, start, strict=True)]

    def quietly(part):
        with torch.no_grad():
            return work(part)

    lost = [True, True] if spoil == "gives up" else [False, True]
    for info, stays in on_threads("1,1,1,2", LATTICE, DEPTH, quietly):
        assert info.unsolved.tolist() == lost and info.log_ratio.isnan().tolist() == lost
        assert stays == lost and info.accepted.tolist() == [not one for one in lost]


def test_one_s_of_all_where_their_sums_round_differently(links):
    own = on_threads("1,1,1,2", LATTICE, DEPTH, lambda part: EXTRA(part.taken(links)))
    found = on_threads("1,1,1,2", LATTICE, DEPTH,
                       lambda part: Somewhere("rounding").term()(part.taken(links)))
    assert torch.equal(own[0], own[1]) and torch.equal(found[0], found[1])
    assert (found[0] / own[0] - 1).abs().max() < 2e-13


def test_costs_are_those_of_rank_0(links):
    def work(part):
        term = Somewhere("counts otherwise", rank=1).term()
        term.force(part.taken(links))
        return term.report().iterations

    assert on_threads("1,1,1,2", LATTICE, DEPTH, work) == [5.0, 5.0]


def test_a_term_of_the_whole_field_is_refused_by_name(links):
    term, = rectangles(LATTICE).terms
    words = raised(lambda part: term(part.taken(links)))
    assert words.startswith("ConfigError host term 'quarks': expected one that takes parts")
    outside = on_threads("1,1,1,1", LATTICE, 0, lambda part: check_terms(
        rectangles(LATTICE).terms, part.taken(links), numbered(1, [0, 0])))
    assert outside == [None]


def test_links_that_one_rank_has_wrong_are_refused_by_all(links):
    def work(part):
        mine = part.taken(links)
        if part.origin[0]:
            mine[:, 0, -1] *= -1
        nested(INNER["hmc"]).init(mine)

    assert raised(work).startswith("ActionError links: expected max|U U^+ - 1|")
