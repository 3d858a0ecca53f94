"""PyQUDA's fields on the GPUs of several ranks, as far as that can be seen without one."""

from dataclasses import replace

import pytest
import torch

from l2hmc_bridge.adapters.hosts import cut, pyquda_fields
from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.ranks import mpi
from tests.adapters.hosts.test_several_ranks import HMC_KERNEL, Said, cuts, needs_kernels
from tests.fast.test_collectives import OnGpu
from tests.ranks.test_planar_streams import in_the_interpreter
from tests.support import ranks
from tests.support.interpreter import needs_triton
from tests.support.standins import pyquda_standin

META = torch.device("meta")  # stands in for a GPU that no kernels serve


@needs_triton
@pytest.mark.slow
def test_updates_on_triton_kernels_have_the_bits_of_one_rank():
    """In their interpreter: a proposal, and nested steps around a term of PyQUDA's own."""
    told = ranks.ended(ranks.start(2, "tests.support.planar_pyquda_worker", "1,1,1,2", "2,2,2,8",
                                   told=in_the_interpreter), 900)
    assert [status for status, *_ in told] == [0, 0], told
    assert told[0][1] == "differs: [[], []], moved: True\n"


@needs_kernels
def test_kernels_are_asked_for_where_the_fields_are():
    first, second = cuts()
    there = replace(first, device=META)
    assert cut.share_of(first, HMC_KERNEL, Said([first, second]))
    with pytest.raises(ConfigError, match="compiled kernels in main memory, or on a GPU Triton's"):
        cut.share_of(there, HMC_KERNEL, Said([there, second]))


@needs_kernels
def test_fields_of_one_rank_on_another_kind_of_gpu_are_refused(monkeypatch):
    monkeypatch.setattr(cut, "kind_of", lambda device: "a make")
    said = Said(cuts())
    of_all = said.of_all
    said.of_all = lambda value: ["a make", "another"] if value == "a make" else of_all(value)
    with pytest.raises(StreamError, match="ranks: GPU: expected a make on every rank as on rank 0"):
        cut.share_of(cuts()[0], HMC_KERNEL, said)


def test_a_field_says_where_it_is():
    gauge = pyquda_standin.LatticeGauge(pyquda_standin.LatticeInfo([2, 2, 2, 4]))
    assert pyquda_fields.cut_of(gauge).device == torch.device("cpu")
    gauge.data = torch.from_numpy(gauge.data).to(META)
    assert pyquda_fields.cut_of(gauge).device == META


class Communicator:
    """Of mpi4py: one process, whose messages come back to it. Its buffers are arrays of numpy."""

    def __init__(self):
        self.sent = {}

    def Get_rank(self):
        return 0

    def Get_size(self):
        return 1

    def Isend(self, array, rank, tag):
        self.sent[tag] = array.copy()

    def Irecv(self, array, rank, tag):
        array[...] = self.sent[tag]


def test_what_neighbours_swap_goes_through_main_memory_under_mpi(monkeypatch):
    monkeypatch.setattr(mpi, "library", lambda: None)
    monkeypatch.setattr(mpi.Mpi, "_wait", lambda self, requests: None)
    numbers = torch.arange(6.0).view(2, 3)
    for down, up in ((numbers, -numbers), (numbers.as_subclass(OnGpu), -numbers)):
        below, above = mpi.Mpi(Communicator()).swap(0, 0, down, up)
        assert torch.equal(below, up) and type(above) is type(down)
        assert torch.equal(above.as_subclass(torch.Tensor), numbers)
