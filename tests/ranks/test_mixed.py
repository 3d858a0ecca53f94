"""Processes that were started together and are not alike: found before anything is computed."""

import pytest

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.ranks import steps
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.recorded.specs import BundleSpec
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import gauge_action

KERNEL = HMC(gauge_action("wilson", 5.7), 0.2, 3, "omf2")


class Two:
    """This process and one beside it; what that has for a text is set by the test."""

    rank, size = 0, 2

    def __init__(self):
        self.other = {}

    def of_all(self, mine):
        return [mine, self.other.get(mine, mine)]


@pytest.fixture
def beside():
    return World(Two())


@pytest.mark.parametrize("what", ["version", "torch", "kernels", "source"])
def test_another_program_on_one_rank_is_refused(what, beside, monkeypatch):
    seen, honest = {}, World.agreed
    monkeypatch.setattr(World, "agreed", lambda self, what, value: seen.update({what: value}))
    steps.require_one_program(beside)
    monkeypatch.setattr(World, "agreed", honest)
    steps.require_one_program(beside)  # alike
    assert len(set(seen.values())) == 4
    beside.transport.other[seen[f"ranks: {what}"]] = "another"
    with pytest.raises(StreamError, match=f"ranks: {what}: expected .* on every rank as on rank 0, "
                                          "found another on rank 1"):
        steps.require_one_program(beside)


@pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
@pytest.mark.parametrize(("ours", "theirs", "message"), [
    ("aa", "bb", "bundle: expected aa on every rank as on rank 0, found bb on rank 1"),
    ("(8, 4, 4, 4)", "(16, 4, 4, 4)", "lattice: expected .*8, 4, 4, 4"),
])
def test_another_bundle_or_lattice_on_one_rank_is_refused(ours, theirs, message, beside):
    given = beside, "1,1,1,2", KERNEL, BundleSpec("b.safetensors", "aa"), (8, 4, 4, 4)
    assert steps.share_of(*given).part.extents == (4, 4, 4, 4)
    beside.transport.other[ours] = theirs
    with pytest.raises(StreamError, match=message):
        steps.share_of(*given)
