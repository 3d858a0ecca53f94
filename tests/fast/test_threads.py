"""Threads of the compiled kernels: torch's, or a pool where these are not to be had or in use."""

import subprocess
import sys
import threading
import time

import pytest
import torch

from l2hmc_bridge.fast.cpu import functions as cpu, library as native, openmp
from tests.fast.test_table import FUNCTIONS, fields, needs_kernels


@pytest.fixture(params=(torch.float64, torch.float32), ids=("double", "single"))
def pool(request):
    """A precision whose kernels run on threads of their own meanwhile."""
    handle = native.required(request.param)
    handle.use_team(None, None)
    yield request.param
    openmp.use_threads_of_torch(handle)


@needs_kernels
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_do_not_depend_on_whose_threads(name, pool, generator):
    given = [one.to(pool.to_complex()) for one in fields((4, 6, 4, 6), 2, generator)]
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(FUNCTIONS[name](cpu, *given))
    openmp.use_threads_of_torch(native.required(pool))
    found.append(FUNCTIONS[name](cpu, *given))
    assert all(torch.equal(one, found[0]) for one in found[1:])


@needs_kernels
def test_workers_that_come_too_late_are_not_missed(pool, generator):
    """One chunk or a few: most calls end before the last worker is awake, some after all sleep."""
    for extents in ((2, 2, 2, 4), (4, 4, 4, 8)):
        links, momenta = (one.to(pool.to_complex()) for one in fields(extents, 1, generator))
        torch.set_num_threads(1)
        expected = cpu.force(links, 6.0), cpu.kinetic(momenta)
        for call in range(400):
            torch.set_num_threads(2 + call % 6)
            if call % 40 == 0:
                time.sleep(0.002)
            assert torch.equal(cpu.force(links, 6.0), expected[0]), call
            assert torch.equal(cpu.kinetic(momenta), expected[1]), call


ALONE = """
import os, sys, torch
from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import library
torch.set_num_threads(3)
field = torch.randn(1, 4, 8, 8, 8, 4, 3, 3, dtype=torch.complex128)
handle = library.library()  # all that is loaded may start threads
if sys.argv[1] == "pool":
    handle.use_team(None, None)
field.mul_(1.0)  # torch starts its threads
before = len(os.listdir("/proc/self/task"))
fast.kinetic(field)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize(("whose", "more"), (("torch", 0), ("pool", 2)))
def test_kernels_start_no_threads_beside_those_of_torch(whose, more):
    if "OpenMP" not in torch.__config__.parallel_info() or sys.platform != "linux":
        pytest.skip("torch has other threads here")
    done = subprocess.run([sys.executable, "-c", ALONE, whose], check=True, timeout=60,
                          capture_output=True, text=True)
    assert int(done.stdout) == more


@pytest.mark.slow
@needs_kernels
def test_no_race_in_a_hundred_runs(generator):
    links, momenta = fields((4, 4, 4, 4), 2, generator)
    torch.set_num_threads(4)
    force = cpu.force(links, 6.0, -0.331)
    plan = (0.1, 0.2, 0.1), (0.1, 0.1), (0.0, 0.01, 0.0)
    end = cpu.trajectory(links, momenta, force, 6.0, -0.331, *plan)
    for _ in range(100):
        again = cpu.trajectory(links, momenta, force, 6.0, -0.331, *plan)
        assert all(torch.equal(a, b) for a, b in zip(again, end, strict=True))


@needs_kernels
def test_calls_from_several_threads_at_once(generator):
    torch.set_num_threads(2)
    inputs = [fields((4, 4, 2, 4), 1, generator) for _ in range(4)]
    expected = [cpu.force(links, 6.0) for links, _ in inputs]
    wrong = []

    def work(index):
        for _ in range(20):
            if not torch.equal(cpu.force(inputs[index][0], 6.0), expected[index]):
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


FORKED = """
import os, torch
from l2hmc_bridge import fast
from l2hmc_bridge.systems import actions, coefficients
torch.set_num_threads(2)
links = actions.hot_start((4, 4, 4, 4), torch.Generator().manual_seed(1))
force = fast.force(links, 6.0)
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(fast.force(links, 6.0), force) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@needs_kernels
def test_a_forked_child_has_its_own_workers():
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=60)
