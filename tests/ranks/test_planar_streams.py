"""A stream on Triton kernels, in their interpreter: on ranks the bits of one, on any grid."""

import pytest

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.networks.covariant import Steps
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.systems.actions import gauge_action
from tests.ranks.test_streams import same
from tests.support import ranks
from tests.support.interpreter import needs_triton
from tests.support.ranks_worker import learned


def in_the_interpreter(rank, size, port):
    return ranks.environment(rank, size, port) | {"TRITON_INTERPRET": "1"}


def stream(folder, grid, size, *how):
    told = ranks.ended(ranks.start(size, "tests.support.planar_stream_worker", folder, grid, *how,
                                   told=in_the_interpreter), 900)
    assert [status for status, *_ in told] == [0] * size, told


@needs_triton
@pytest.mark.slow
def test_a_stream_on_triton_kernels_has_the_bits_of_one_rank(tmp_path):
    """Begun on two ranks, gone on with on one; the flow is measured on the way."""
    stream(tmp_path / "one", "-", 1, 2)
    stream(tmp_path / "two", "1,1,1,2", 2, 1)
    stream(tmp_path / "two", "-", 1, 1, "resume")
    assert same(tmp_path / "one", tmp_path / "two")


@needs_triton
@pytest.mark.slow
def test_each_chain_of_tuned_and_proved_steps_on_a_process_of_its_own(tmp_path):
    """Chains beside the ranks that share a lattice; one process has all of them."""
    kernel = L2HMC(gauge_action("wilson", 5.7), Steps(schedule("leapfrog", 0.3, 1)))
    path = tmp_path / "steps.safetensors"
    bundle.save(path, kernel, {}, (5.6, 6.2))
    stream(tmp_path / "one", "-", 1, 1, path)
    stream(tmp_path / "two", "1,1,1,1", 2, 1, path)
    assert same(tmp_path / "one", tmp_path / "two")


@needs_triton
@pytest.mark.slow
@pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")
def test_a_heat_bath_on_triton_kernels_has_the_same_bits_on_any_grid(tmp_path):
    """It runs on the compiled kernels in main memory; what is logged of it does not."""
    stream(tmp_path / "t", "1,1,1,2", 2, 1, "heatbath")
    stream(tmp_path / "z", "1,1,2,1", 2, 1, "heatbath")
    assert same(tmp_path / "t", tmp_path / "z")


@needs_triton
@pytest.mark.slow
def test_a_stream_with_networks_has_the_bits_of_one_rank(tmp_path):
    """A kick network, begun on two ranks, gone on with on one."""
    path = tmp_path / "networks.safetensors"
    bundle.save(path, learned("leapfrog", composition="direction"), {}, (5.6, 6.0))
    stream(tmp_path / "one", "-", 1, 2, "networks", path)
    stream(tmp_path / "two", "1,1,1,2", 2, 1, "networks", path)
    stream(tmp_path / "two", "-", 1, 1, "resume")
    assert same(tmp_path / "one", tmp_path / "two")
