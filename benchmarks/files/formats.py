"""Reading and writing of large gauge files, next to bare numpy, PyQUDA's readers and lyncs_io.

    python -m benchmarks.files.formats                        # 24^3x48, 382 MB, below TMPDIR
    python -m benchmarks.files.formats --lattice 12,12,12,24  # a trial
    python -m benchmarks.files.formats --pyquda build/pyquda  # with PyQUDA's readers (see below)

All cases run in turn, round after round, and the best time of each counts; times are given as
ratios to the bare numpy read of the same run. PyQUDA needs the sources that
tests/support/fetch_pyquda.py unpacks, and mpi4py.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.configuration import Configuration

WRITTEN = {"ildg": "ildg", "nersc": "nersc", "milc": "milc"}
# Case: the most it may take, in bare numpy reads of the same run.
TARGETS = {
    "read ildg, unverified": 0.6, "read ildg, verified": 1.2, "write ildg, verified": 1.5,
    "read nersc, unverified": 0.72, "read nersc, verified": 1.44, "write nersc, verified": 1.8,
    "read milc, unverified": 0.72, "read milc, verified": 1.44, "write milc, verified": 1.8,
}
MEMORY = """
import sys
def peak():  # of this program alone; getrusage also knows its parent's
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
sys.path.insert(0, sys.argv[1])
from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload import dispatch
files.read(sys.argv[3])
dispatch.COMPILED_FROM = 0
files.read(sys.argv[3])
before = peak()
links = files.read(sys.argv[2]).links
after = peak()
print((after - before) / (links.numel() * 16))
"""


def field(lattice: tuple[int, int, int, int], seed: int = 1) -> Configuration:
    """Links drawn from 4096 random ones: SU(3), and quick to make."""
    nx, ny, nz, nt = lattice
    generator = torch.Generator().manual_seed(seed)
    pool = su3.random_group((4096,), generator)
    picks = torch.randint(0, 4096, (1, 4, nt, nx, ny, nz), generator=generator)
    return Configuration(pool[picks], {})


def bare_numpy(path: Path, offset: int, lattice: tuple[int, ...]) -> np.ndarray:
    """What a few lines of numpy do: read, swap bytes, bring into the torch layout; no checks."""
    nx, ny, nz, nt = lattice
    array = np.fromfile(path, ">c16", nx * ny * nz * nt * 36, offset=offset).astype(np.complex128)
    array = array.reshape(nt, nz, ny, nx, 4, 3, 3).transpose(4, 0, 3, 2, 1, 5, 6)
    return np.ascontiguousarray(array[[3, 0, 1, 2]])


def bare_crc(path: Path, offset: int, sites: int) -> int:
    """zlib.crc32 of every site in a Python loop."""
    view = memoryview(np.fromfile(path, np.uint8, sites * 576, offset=offset))
    total = 0
    for start in range(0, len(view), 576):
        total ^= zlib.crc32(view[start : start + 576])
    return total


def bare_write(path: Path, links: np.ndarray) -> None:
    """The way back in numpy, synced, without checksums."""
    array = links[[1, 2, 3, 0]].transpose(1, 4, 3, 2, 0, 5, 6).astype(">c16")
    with open(path, "wb") as file:
        np.ascontiguousarray(array).tofile(file)
        file.flush()
        os.fsync(file.fileno())


def own_cases(folder: Path, configuration: Configuration) -> dict[str, Callable[[], object]]:
    cases: dict[str, Callable[[], object]] = {}
    for name, suffix in WRITTEN.items():
        path = folder / f"large.{suffix}"
        cases[f"write {name}, verified"] = (
            lambda path=path: files.write(path, configuration, force=True)
        )
        cases[f"read {name}, unverified"] = lambda path=path: files.read(path, verify=False)
        cases[f"read {name}, verified"] = lambda path=path: files.read(path)
    return cases


def foreign_cases(path: Path, pyquda: Path | None) -> dict[str, Callable[[], object]]:
    """Other readers of the same ILDG file, as far as they can be imported."""
    cases: dict[str, Callable[[], object]] = {}
    try:
        lyncs_io = importlib.import_module("lyncs_io")
        cases["lyncs_io.load (neither swapped nor checked)"] = (
            lambda: lyncs_io.load(str(path), format="lime")
        )
    except (ImportError, AttributeError) as error:
        print(f"lyncs_io left out: {error}")
    if pyquda is not None:
        sys.path[:0] = {str(found.parents[1]) for found in pyquda.glob("*/pyquda_*/__init__.py")}
    try:
        pyquda_io = importlib.import_module("pyquda_io")
        pyquda_io.init([1, 1, 1, 1])
        for checked in (False, True):
            cases[f"PyQUDA readILDGGauge, checksum {'on' if checked else 'off'}"] = (
                lambda checked=checked: pyquda_io.readILDGGauge(str(path), checked)
            )
    except (ImportError, RuntimeError) as error:
        print(f"pyquda_io left out: {' '.join(str(error).split())[:100]}")
    return cases


def best_times(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Best wall-clock seconds of each case; what it returns is freed outside the clock."""
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for name, case in cases.items():
            start = time.perf_counter()
            result = case()
            best[name] = min(best[name], time.perf_counter() - start)
            del result
    return best


def machine() -> dict[str, str]:
    model = platform.processor() or "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    return {"processor": model, "cores": str(len(os.sched_getaffinity(0))),
            "python": platform.python_version(), "numpy": np.__version__,
            "torch": torch.__version__, "load": " ".join(f"{x:.1f}" for x in os.getloadavg())}


def peak_memory(large: Path, small: Path) -> float:
    """Peak memory of a verified read beyond an idle reader, in sizes of the complex128 field."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", MEMORY, str(root), str(large), str(small)],
                          capture_output=True, text=True, check=True)
    return float(done.stdout)


def run(lattice: tuple[int, ...], rounds: int, folder: Path, pyquda: Path | None) -> dict:
    configuration = field(lattice)
    nx, ny, nz, nt = lattice
    path, small = folder / "large.ildg", folder / "small.ildg"
    files.write(small, field((4, 4, 4, 4)), force=True)
    cases = own_cases(folder, configuration)
    for case in cases.values():  # compiles, and leaves all files in the page cache
        case()
    records = files.header(path)["records"]
    (offset,) = [record["offset"] for record in records if record["type"] == "ildg-binary-data"]
    links = configuration.links[0].numpy()
    assert np.array_equal(bare_numpy(path, offset, lattice), files.read(path).links[0].numpy())
    cases = {
        "bare numpy read": lambda: bare_numpy(path, offset, lattice),
        **cases,
        **foreign_cases(path, pyquda),
        "zlib.crc32 per site in Python": lambda: bare_crc(path, offset, nx * ny * nz * nt),
        "bare numpy write, synced": lambda: bare_write(folder / "bare", links),
    }
    seconds = best_times(cases, rounds)
    unit = seconds["bare numpy read"]
    rows = {name: {"seconds": value, "ratio": value / unit, "target": TARGETS.get(name)}
            for name, value in seconds.items()}
    return {"lattice": list(lattice), "bytes": path.stat().st_size, "rounds": rounds,
            "machine": machine(), "cases": rows, "peak_memory": peak_memory(path, small)}


def show(report: dict) -> None:
    about = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    print(f"lattice {report['lattice']}, {report['bytes'] / 1e6:.0f} MB, best of "
          f"{report['rounds']}; {about}\n")
    print(f"| {'case':44} | seconds | ratio | at most |\n|{'-' * 46}|---------|-------|---------|")
    for name, row in report["cases"].items():
        target = f"{row['target']:.2f}" if row["target"] else ""
        print(f"| {name:44} | {row['seconds']:7.3f} | {row['ratio']:5.2f} | {target:7} |")
    print(f"\npeak memory of a verified read: {report['peak_memory']:.2f} x the complex128 field "
          "(at most 1.50)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lattice", default="24,24,24,48", metavar="X,Y,Z,T")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary one)")
    parser.add_argument("--pyquda", type=Path, help="folder with PyQUDA's unpacked sources")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    options = parser.parse_args()
    lattice = tuple(int(extent) for extent in options.lattice.split(","))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        report = run(lattice, options.rounds, Path(name), options.pyquda)
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    missed = [name for name, row in report["cases"].items()
              if row["target"] and row["ratio"] > row["target"]]
    print(f"above target: {', '.join(missed) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
