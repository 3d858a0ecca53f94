"""The kernels on one GPU in at most eight minutes: tests, ranks, targets, tables; what falls short.

    benchmarks/gpu_check.sh [--json FILE] [--seconds N] [--rehearse]

Results are written after every number, so that what was measured stays if time runs out. Status
0: every target is reached; 1: there is no GPU; 2: something falls short, fails, or had no time.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.kernels.gpu_ranks import COMPARED
from benchmarks.kernels.gpu_targets import Place, Target, targets
from benchmarks.kernels.table import table
from l2hmc_bridge.fast.gpu.launch import triton_available

TESTS = ("tests/fast/test_gpu.py", "tests/fast/test_device.py")
COLUMNS = {"target": "", "lattice": "lattice", "precision": "precision", "wanted": "wanted",
           "found": "found", "unit": "unit", "verdict": "verdict"}
REACHED, SHORT = "reached", "falls short"


@dataclass
class Report:
    """What is known so far, on disk after every line."""

    path: Path
    until: float  # time.monotonic() when no new work begins
    machine: dict
    tests: str = "not run"
    ranks: str = "not run"
    rows: list[dict] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    def save(self) -> None:
        """JSON, and the same as a page."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"machine": self.machine, "tests": self.tests,
                                         "ranks": self.ranks, "targets": self.rows}, indent=1)
                             + "\n")
        lines = ["# Targets on a GPU", "", f"{self.machine['gpu']}, torch "
                 f"{self.machine['torch']}. Tests: {self.tests}. Two processes that share a "
                 f"lattice: {self.ranks}.", "", *table(self.rows, COLUMNS)]
        self.path.with_suffix(".md").write_text("\n".join(lines) + "\n")

    @property
    def short(self) -> list[dict]:
        """Everything but what was reached."""
        return [row for row in self.rows if row["verdict"] != REACHED]


def run_tests(report: Report) -> None:
    """The tests that need a GPU, and those beside them, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=max(1.0, min(150.0, report.left)))
        words = done.stdout.strip().splitlines()
        report.tests = words[-1] if words else f"status {done.returncode}: {done.stderr.strip()}"
        if done.returncode != 0:
            report.tests = f"FAILED: {report.tests}"
            print(done.stdout[-4000:])
    except subprocess.TimeoutExpired:
        report.tests = "FAILED: not through in time"
    report.save()
    print(f"tests: {report.tests}", flush=True)


def run_ranks(report: Report, *more: str) -> None:
    """Two processes that share a lattice, on this GPU: their bits, and the time (gpu_ranks.py)."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
               "-m", "benchmarks.kernels.gpu_ranks", *more]
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=max(1.0, min(200.0, report.left)))
    except subprocess.TimeoutExpired:
        report.ranks = "FAILED: not through in time"
    else:
        report.ranks = said_of_ranks(done.stdout, done.stderr)
    report.save()
    print(f"two processes: {report.ranks}", flush=True)


def said_of_ranks(output: str, errors: str) -> str:
    """What gpu_ranks.py found, in words."""
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    if len(rows) != COMPARED:
        said = (errors.strip().splitlines() or ["nothing was said"])[-1]
        return f"FAILED: expected {COMPARED} comparisons, found {len(rows)}: {said[:200]}"
    wrong = [f"{row['action']}: {', '.join(row['differs'])}" for row in rows if row["differs"]]
    if wrong:
        return f"FAILED: other bits than one process ({'; '.join(wrong)})"
    times = "; ".join(f"{row['action']} on {row['lattice']}: {1e3 * row['ranks']:.1f} ms, one "
                      f"process {1e3 * row['one']:.1f} ms, {row['sent'] / 1e6:.1f} MB sent"
                      for row in rows)
    return f"the same bits ({times})"


def measured(target: Target, place: Place, left: float) -> dict:
    """One line of the table; a measurement that fails says why."""
    found, verdict = math.nan, "not measured: no time left"
    if left > 0:
        try:
            found = target.measure(place)
            verdict = REACHED if target.met(found) else SHORT
        except Exception as error:  # the others are measured nevertheless
            verdict = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return {"target": target.name, "lattice": "x".join(str(n) for n in target.lattice),
            "precision": target.precision, "wanted": f"{target.wanted} {target.bound:g}",
            "found": None if math.isnan(found) else found, "unit": target.unit, "verdict": verdict}


def measure_all(report: Report, place: Place, wanted: Iterable[Target]) -> None:
    """Every target in turn, on screen and on disk as it comes."""
    for target in wanted:
        row = measured(target, place, report.left)
        report.rows.append(row)
        report.save()
        found = "-" if row["found"] is None else f"{row['found']:.3g}"
        print(f"{row['target']}, {row['lattice']}, {row['precision']}: {found} {row['unit']}, "
              f"wanted {row['wanted']}: {row['verdict']}", flush=True)
        if place.device.type == "cuda":
            torch.cuda.empty_cache()


def run_tables(report: Report) -> None:
    """The tables of kernels/gpu.py in what time is left, largest lattices last."""
    if report.left < 30:
        print("tables of kernels/gpu.py: no time left")
        return
    path = report.path.with_name("gpu.json")
    try:
        subprocess.run([sys.executable, "-m", "benchmarks.kernels.gpu", "--lattices", "8,16",
                        "--json", str(path)], timeout=report.left, check=False)
    except subprocess.TimeoutExpired:
        print("tables of kernels/gpu.py: cut short")


def conclude(report: Report) -> int:
    """What falls short, in words; the status."""
    failed = any(one.startswith("FAILED") for one in (report.tests, report.ranks))
    print(f"\n{len(report.rows) - len(report.short)} of {len(report.rows)} targets reached; "
          f"tests: {report.tests}; two processes: {report.ranks}")
    for row in report.short:
        found = "" if row["found"] is None else f": {row['found']:.3g} {row['unit']}"
        print(f"  {row['verdict']}: {row['target']}, {row['lattice']}, {row['precision']}{found}, "
              f"wanted {row['wanted']}")
    print(f"written to {report.path} and .md beside it")
    return 2 if failed or report.short else 0


def missing() -> str | None:
    """Why nothing can be measured here."""
    if not torch.cuda.is_available():
        return "an NVIDIA GPU that torch can use, found none: run it on a machine that has one"
    if not triton_available():
        return "triton, found none: pip install triton"
    return None


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/gpu_check.json"))
    parser.add_argument("--seconds", type=float, default=420.0, help="when no new work begins")
    parser.add_argument("--only", help="targets whose name begins so")
    parser.add_argument("--rehearse", action="store_true",
                        help="try this program without a GPU, on 2^4; its times mean nothing")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    reason = None if options.rehearse else missing()
    if reason is not None:
        print(f"gpu_check: expected {reason}", file=sys.stderr)
        return 1
    place = (Place(torch.device("cpu"), 0.0, 1, tried=True) if options.rehearse
             else Place(torch.device("cuda:0")))
    name = "no GPU, rehearsed" if place.tried else torch.cuda.get_device_name(place.device)
    report = Report(options.json, time.monotonic() + options.seconds,
                    {"gpu": name, "torch": torch.__version__})
    if not place.tried:
        run_tests(report)
        run_ranks(report)
    measure_all(report, place, [one for one in targets()
                                if one.name.startswith(options.only or "")])
    if not place.tried:
        run_tables(report)
    return conclude(report)


if __name__ == "__main__":
    sys.exit(main())
