"""A stream on Triton kernels, in their interpreter: on ranks the bits of one, on any grid."""

import pytest

from tests.ranks.test_streams import same
from tests.support import ranks
from tests.support.interpreter import needs_triton


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
