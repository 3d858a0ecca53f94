"""Processes that were started together and are not alike: found before anything is computed."""

import pytest
import torch

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


def test_the_source_is_every_module_of_a_checkout_and_of_an_install(tmp_path):
    def laid(root, adapters):
        for path in (root / "l2hmc_bridge" / "one.py", adapters / "host.py"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("1\n")
        return root / "l2hmc_bridge"

    checkout = laid(tmp_path / "checkout", tmp_path / "checkout" / "adapters")
    install = laid(tmp_path / "install", tmp_path / "install" / "l2hmc_bridge" / "adapters")
    before = steps._source(checkout)
    assert before == steps._source(install)
    (tmp_path / "checkout" / "adapters" / "host.py").write_text("2\n")
    steps._source.cache_clear()
    assert steps._source(checkout) != before


def out_of_main_memory():
    """What torch says of more than any machine has."""
    torch.empty(1 << 60, dtype=torch.uint8)


def out_of_gpu_memory():
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0")


class Hears(Two):
    """Processes that all say what this one says."""

    def of_all(self, mine):
        return [mine, mine]

    def from_first(self, value):
        return value


@pytest.mark.parametrize("make", [out_of_main_memory, out_of_gpu_memory])
@pytest.mark.parametrize("how", ["made", "each", "settled"])
def test_a_rank_without_memory_says_so_to_all(how, make):
    """In an error that others can read, as any refusal: they would wait for this one."""
    with pytest.raises(StreamError, match="^rank 0: expected memory for its fields, found") as one:
        getattr(World(Hears()), how)(make)
    assert "\n" not in str(one.value)


def test_what_else_torch_raises_is_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="must match"):
        World(Hears()).settled(lambda: torch.zeros(2) + torch.zeros(3))


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
