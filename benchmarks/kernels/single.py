"""Single precision against double in one run: functions, and training steps with their memory.

    python -m benchmarks.kernels.single EXTENT      the table on the screen

`table` is one of the tables of kernels/run.py.
"""

import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.kernels.cases import CASES, Fields
from benchmarks.kernels.trajectories import NETWORKS, training_step
from benchmarks.timing import best, show
from l2hmc_bridge import fast

DTYPES = {"double": torch.complex128, "single": torch.complex64}
TRAINED = ("trained steps only", "kick network s, q, t", "mixing", "everything")


def table(extent: int, budget: float) -> list[dict]:
    """One row for every function and some training steps, each in both precisions in turns."""
    torch.set_num_threads(1)
    fields = {name: Fields(extent, 1, dtype) for name, dtype in DTYPES.items()}
    rows = [_row(case.name, fields, {name: lambda one=one, case=case: case.run(one)
                                     for name, one in fields.items()}, budget)
            for case in CASES]
    for name in TRAINED if extent <= 8 else ():
        steps = {kind: training_step(NETWORKS[name], one) for kind, one in fields.items()}
        row = _row(f"training: {name}", fields, steps, budget)
        memory = {kind: _peak_memory(extent, name, kind) for kind in DTYPES}
        rows.append({**row, "single_mb": memory["single"], "double_mb": memory["double"]})
    return rows


def _row(name: str, fields: dict, calls: dict, budget: float) -> dict:
    times = {kind: [] for kind in calls}
    for call in calls.values():
        call()
    start = time.perf_counter()
    while len(times["single"]) < 3 or time.perf_counter() - start < 2 * budget:
        for kind, call in calls.items():
            times[kind].append(best(call, 0.0, 1))
    extent = fields["single"].extent
    single, double = (1e6 * min(times[kind]) / extent**4 for kind in ("single", "double"))
    return {"function": name, "lattice": extent, "single_us": single, "double_us": double,
            "double_ratio": double / single}


def _peak_memory(extent: int, name: str, kind: str) -> float:
    """MB by which a training step raises the peak memory of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kernels.single", str(extent), name, kind]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _measure_memory(extent: int, name: str, kind: str) -> None:
    torch.set_num_threads(1)
    fields = Fields(extent, 1, DTYPES[kind])
    step = training_step(NETWORKS[name], fields)
    fast.action(fields.links, 6.0)  # the kernels are loaded
    before = _highest()
    step()
    print(_highest() - before)


def _highest() -> float:
    """Peak memory of this process so far, MB (getrusage would tell that of its parent, too)."""
    line = next(one for one in Path("/proc/self/status").open() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    if len(sys.argv) > 2:
        _measure_memory(int(sys.argv[1]), *sys.argv[2:])
        return
    fast.keep_memory()
    show("single precision", table(int(sys.argv[1]), 0.5))


if __name__ == "__main__":
    main()
