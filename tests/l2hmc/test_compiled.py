"""What a trajectory on the compiled kernels does not do twice: forces and conversions."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge.fast.cpu import learned, library
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction
from tests.fast.test_learned import BOTH, KERNELS, fields, learned_kernel

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")

EXTENTS = (4, 2, 4, 2)
KICKS = sorted(name for name, parts in KERNELS.items()  # "rectangle" takes forces of its own
               if "rectangle" not in parts.get("kick", ("rectangle",))
               and "composition" not in parts)


class Counter:
    """Passes of the force kernel and conversions of links, on the way to the kernels."""

    def __init__(self, monkeypatch):
        self.forces = self.conversions = 0
        self.call, self.run = library.call, learned.run
        monkeypatch.setattr(library, "call", self.counted_call)
        monkeypatch.setattr(learned, "run", self.counted_run)

    def counted_call(self, name, *arguments, **options):
        self.forces += name == "force"
        self.conversions += name == "to_blocks" and arguments[1] == library.LINK
        self.call(name, *arguments, **options)

    def counted_run(self, lattice, links, tasks):
        self.forces += sum(task.changes is not None and not task.structure.force
                           for task in tasks)
        self.run(lattice, links, tasks)

    def taken(self):
        """(forces, conversions) since this was asked last."""
        found = self.forces, self.conversions
        self.forces = self.conversions = 0
        return found


def chain(kernel, state, choices, monkeypatch, remember=True):
    """(state, info) of steps that accept as the `choices` say, each from what the last one left."""
    seeds = torch.Generator().manual_seed(5)
    for accepts in choices:
        uniform = 1.0 - torch.tensor(accepts, dtype=torch.float64)  # log 1 is no less than 0
        monkeypatch.setattr(markov, "draw_uniform", lambda *_, uniform=uniform: uniform)
        state, info = kernel.step(state if remember else state._replace(seen=None), seeds)
        assert info.accepted.tolist() == [one == 1 for one in accepts]
        yield state, info


@pytest.mark.parametrize("repeats", (1, 3))
@pytest.mark.parametrize("name", KICKS)
@torch.no_grad()
def test_no_force_is_computed_twice(name, repeats, generator, monkeypatch):
    """Accepted or not, a trajectory begins with what the network saw where the last one ended."""
    kernel = learned_kernel(generator, **{**KERNELS[name], "repeats": repeats})
    links, _ = fields(EXTENTS, generator, chains=1)
    state, counter, extra = kernel.init(links), Counter(monkeypatch), {}
    for remember in (True, False):
        extra[remember] = []
        for _, info in chain(kernel, state, [(1,), (1,), (0,), (1,)], monkeypatch, remember):
            forces, conversions = counter.taken()
            extra[remember].append(forces - info.force_evaluations)
            assert conversions == (1 if kernel.action.c1 == 0 else 2)  # for the action at the end
    # The network has not seen the first field; later ones only if that is forgotten.
    assert extra == {True: [1, 0, 0, 0], False: [1, 1, 1, 1]}


@pytest.mark.parametrize("name", sorted(KERNELS))
@torch.no_grad()
def test_what_is_handed_on_changes_no_bit(name, generator, monkeypatch):
    """Three chains with accepts and rejects, against those that begin every time at their links."""
    kernel = learned_kernel(generator, **KERNELS[name])
    links, _ = fields(EXTENTS, generator, chains=3)
    choices = [(1, 1, 1), (0, 1, 0), (0, 0, 0), (1, 0, 1), (0, 1, 1)]
    ends = [list(chain(kernel, kernel.init(links), choices, monkeypatch, remember))
            for remember in (True, False)]
    for (state, info), (other, other_info) in zip(*ends, strict=True):
        for one, two in zip(state[:3], other[:3], strict=True):
            assert torch.equal(one, two)
        assert torch.equal(info.log_ratio, other_info.log_ratio)
        assert torch.equal(info.log_det, other_info.log_det)
        assert (state.seen is None) == (kernel.kick_network is None)


@torch.no_grad()
def test_another_coupling_or_network_takes_nothing_over(generator, monkeypatch):
    """Fields of another action, or of a network that sees less, are no use and do no harm."""
    links, momenta = fields(EXTENTS, generator)
    kernel = learned_kernel(generator, kick=(), drift=("turn", BOTH))
    (state, _), = chain(kernel, kernel.init(links), [(1, 1)], monkeypatch)
    assert state.seen
    for other in (replace(kernel, action=GaugeAction(5.2)),
                  learned_kernel(generator, kick=("square",), drift=("turn", BOTH))):
        bare = other.init(state.links)
        found = other.trajectory(bare._replace(seen=state.seen), momenta, generator)
        expected = other.trajectory(bare, momenta, generator)
        assert all(torch.equal(one, two) for one, two in zip(found[:4], expected[:4], strict=True))


@pytest.mark.parametrize("c1", (0.0, -1 / 12))
@torch.no_grad()
def test_links_enter_a_trajectory_of_hmc_once(c1, generator, monkeypatch):
    """And once more for an action with rectangles, which is computed at the end."""
    kernel = HMC(GaugeAction(5.7, c1), 0.1, 3)
    links, _ = fields(EXTENTS, generator)
    state, counter = kernel.init(links), Counter(monkeypatch)
    for _ in range(3):
        state, info = kernel.step(state, generator)
        assert counter.taken() == (info.force_evaluations, 1 + (c1 != 0))
