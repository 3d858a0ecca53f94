"""What it costs to hand a host's field to a kernel and back, next to an L2HMC trajectory.

    python -m benchmarks.files.hosts                       # 8^4
    python -m benchmarks.files.hosts --lattice 16,16,16,16

Every conversion includes its checks (SU(3), boundaries, finite numbers). "copies" are passes that
move the whole field, there and back; 0 means that the memory is shared, which is verified here. GPT
is measured if it imports, otherwise a stand-in of its layout; PyQUDA's layout is always that of
the stand-in. A second row of GPT shows its own copying, which serves with several ranks; it is not
held to the bound. The last column is for hosts with quarks: the share of one solve of the example's
Wilson quarks (two flavours in torch; a host's own solver is faster on a GPU, and so is a conversion
that stays there). Exit status 1 if another conversion there and back exceeds 2 % of the trajectory,
or 1 % of the solve, measured in this run.
"""

import argparse
import sys
import time

import numpy as np
import torch

from examples.two_flavour.dirac import Quark
from examples.two_flavour.quarks import Pseudofermions
from l2hmc_bridge import models
from l2hmc_bridge.adapters.hosts import (
    gpt,
    lyncs,
    pyquda,
)
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.systems.actions import hot_start
from tests.support.standins import gpt_standin, pyquda_standin

BOUND, SOLVE_BOUND = 0.02, 0.01
OWN = ", its own copying"


def best(function, seconds=1.0):
    """Shortest time of one call, over about `seconds`."""
    function()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def numpy_case(links, axes):
    """(to, from, copies each way) for a numpy array in a layout that hosts.lyncs knows."""
    array = lyncs.from_links(links, axes)
    shared = lyncs.to_links(array, axes).data_ptr() == array.ctypes.data
    return (lambda: lyncs.to_links(array, axes),
            lambda: lyncs.from_links(links, axes), 0 if shared else 1)


def gpt_cases(links):
    """GPT's field, or its stand-in: one pass each way; by GPT's copying two there, two back."""
    try:
        g, name = gpt.library(), "GPT"
    except BridgeError:
        g, name = gpt_standin, "GPT (stand-in)"
    field = g.qcd.gauge.unit(g.grid([*links.shape[3:6], links.shape[2]], g.double))
    gpt.from_links(links, field)
    slow = [gpt_standin.WithoutMemory(one) for one in field]
    return {name: (lambda: gpt.to_links(field), lambda: gpt.from_links(links, field), 1),
            f"{name}{OWN}": (lambda: gpt.to_links(slow), lambda: gpt.from_links(links, slow), 2)}


def pyquda_case(links, backend):
    """PyQUDA's even-odd array in numpy or torch; one pass each way, into memory that is there."""
    info = pyquda_standin.LatticeInfo([*links.shape[3:6], links.shape[2]])
    field = pyquda_standin.LatticeGauge(info)
    if backend == "torch":
        field.data = torch.from_numpy(field.data)
    pyquda.from_links(links, field)
    return lambda: pyquda.to_links(field), lambda: pyquda.from_links(links, field), 1


def solve_of_quarks(links, generator):
    """Seconds of S and F of one pseudofermion field: one solve, light enough for any lattice."""
    term = Pseudofermions(Quark(0.15), tolerance=1e-8)
    term.refresh(links, generator)

    def once():
        term.force(links.clone())  # another field to its memory of the last solution

    return best(once, 0.0)


def main(arguments=None):
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lattice", default="8,8,8,8", help="X,Y,Z,T")
    parser.add_argument("--seconds", type=float, default=1.0, help="per row")
    options = parser.parse_args(arguments)
    x, y, z, t = map(int, options.lattice.split(","))
    generator = torch.Generator().manual_seed(1)
    kernel = bundle.load(models.default(), beta=6.0).kernel
    links = thermalise(HMC(kernel.action, 0.2, 5), hot_start((t, x, y, z), generator), 6,
                       lambda n: generator)
    state = kernel.init(links)
    trajectory = best(lambda: kernel.step(state, generator), 3 * options.seconds)
    cases = {
        "numpy, the order of links": numpy_case(links, "links"),
        "numpy, t z y x mu": numpy_case(links, "lime"),
        "PyQUDA's layout, numpy": pyquda_case(links, "numpy"),
        "PyQUDA's layout, torch": pyquda_case(links, "torch"),
        **gpt_cases(links),
    }
    solve = solve_of_quarks(links, generator)
    print(f"L2HMC trajectory on {x}x{y}x{z}x{t}: {1e3 * trajectory:.0f} ms, a solve of Wilson "
          f"quarks {1e3 * solve:.0f} ms, {torch.get_num_threads()} thread(s); numpy "
          f"{np.__version__}, torch {torch.__version__}")
    print(f"{'field':28s} {'to ms':>8s} {'from ms':>8s} {'copies':>7s} {'of a trajectory':>16s} "
          f"{'of a solve':>11s}")
    worst = worst_of_solve = 0.0
    for row, (there, back, copies) in cases.items():
        to_time, from_time = best(there, options.seconds), best(back, options.seconds)
        share, of_solve = ((to_time + from_time) / whole for whole in (trajectory, solve))
        if not row.endswith(OWN):
            worst, worst_of_solve = max(worst, share), max(worst_of_solve, of_solve)
        print(f"{row:28s} {1e3 * to_time:8.2f} {1e3 * from_time:8.2f} {int(2 * copies):7d} "
              f"{100 * share:14.2f} % {100 * of_solve:9.2f} %")
    print(f"largest share of a trajectory {100 * worst:.2f} %, bound {100 * BOUND:.0f} %; of a "
          f"solve {100 * worst_of_solve:.2f} %, bound {100 * SOLVE_BOUND:.0f} %")
    return int(worst > BOUND or worst_of_solve > SOLVE_BOUND)


if __name__ == "__main__":
    sys.exit(main())
