"""Files of a lattice in parts: the bytes, the checks and the refusals of one process."""

import pytest
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.slabs import Run, runs
from tests.support import memory_worker, ranks, samples, slabs_worker
from tests.support.slabs_worker import CASES, META, SPOILED, WHOLE

pytestmark = pytest.mark.skipif(library.library() is None, reason="no compiled kernels here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every case, and a copy with one byte changed in the links of the last site."""
    made = tmp_path_factory.mktemp("files")
    links = samples.random_links(extents=(6, 4, 8, 4))
    for number, (form, options) in enumerate(CASES):
        path = slabs_worker.name(made, WHOLE, number)
        files.write(path, Configuration(links, META), form, **options)
        spoiled = bytearray(path.read_bytes())
        spoiled[-700] ^= 0x40
        slabs_worker.name(made, SPOILED, number).write_bytes(spoiled)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["1,1,1,2", "1,1,2,1", "2,2,1,1"])
def test_files_in_parts_are_those_of_one_process(grid, folder):
    size = ranks.processes(grid)
    found = ranks.ended(ranks.start(size, "tests.support.slabs_worker", grid, folder))
    assert [status for status, *_ in found] == [0] * size, found
    expected = [f"{number}: the same" for number in range(len(CASES))]
    assert found[0][1].splitlines() == 2 * expected


def test_runs_are_as_few_as_can_be():
    assert runs((2, 3, 4), (0, 0, 0), (2, 3, 4), 10) == [Run(0, 0, 240)]
    assert runs((2, 3, 4), (2, 0, 0), (6, 3, 4), 10) == [Run(0, 240, 240)]
    assert runs((2, 1, 4), (0, 2, 0), (2, 3, 4), 10) == [Run(0, 80, 40), Run(40, 200, 40)]
    whole = torch.arange(2 * 3 * 4).view(2, 3, 4)
    found = [whole.flatten()[run.offset:run.offset + run.size] for run in
             runs((2, 2, 2), (0, 1, 2), (2, 3, 4), 1)]
    assert torch.equal(torch.cat(found), whole[:, 1:, 2:].flatten())


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["1,1,1,2", "1,1,2,1"])
@pytest.mark.skipif(not memory_worker.STATUS.exists(), reason="peak memory is read from /proc")
def test_no_process_holds_more_than_its_share(grid, tmp_path):
    """At most 1.3 times the share plus the copies to read, 0.3 of it beside the field to write."""
    for name, extents in (("small", (4, 4, 4, 4)), ("large", (64, 12, 12, 16))):  # 85 MB
        slice_of_time = samples.random_links(extents=(1, *extents[1:]))
        links = slice_of_time.repeat(1, 1, extents[0], 1, 1, 1, 1, 1)
        files.write(tmp_path / f"{name}.ildg", Configuration(links, {}))
    found = ranks.ended(ranks.start(
        2, "tests.support.memory_worker", grid, tmp_path / "small.ildg",
        tmp_path / "large.ildg", tmp_path))
    assert [status for status, *_ in found] == [0, 0], found
    for line in found[0][1].splitlines():
        name, most, own, held = line.split()
        field = int(held) if name in ("read", "load") else 0
        assert int(most) <= field + 0.3 * int(own), found[0][1]
