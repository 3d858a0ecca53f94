"""The compiled kernels against torch: one table per question, and a JSON file with all of it.

    python -m benchmarks.kernels.run [--lattices 8,16,32] [--threads 1,2] [--chains 1,8] [--quick]
        [--instruction-set avx2] [--tables functions,trajectories] [--json FILE]

Every time is the best of several calls in this one run (processor time where one thread works, so
that a busy machine disturbs little; else time on the clock), with what it is compared to in the
same run: `torch`, the formulas of fast/reference.py, and `autograd`, the force as the gradient of
the action through torch.autograd. Fields go from and to the torch layout unless a row says
"blocked". Flop are counted with 198 per product of complex 3x3 matrices, bytes as each field once.
With an instruction set the kernels built for it are measured, and torch keeps to it too: the peaks
are those of that instruction set, whatever the processor could do beyond it.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.kernels.cases import CASES, LINKS, Case, Fields
from benchmarks.kernels.single import table as single
from benchmarks.kernels.sweeps import sweeps
from benchmarks.kernels.table import markdown
from benchmarks.kernels.trajectories import networks, training, trajectories
from benchmarks.timing import best, machine, show
from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import library as native

QUICK_SECONDS = 0.3
CAPABILITY = "ATEN_CPU_CAPABILITY"  # what torch and the choice of kernels take a processor for
TABLES: dict[str, Callable[[int, float], list[dict]]] = {
    "trajectories": trajectories, "networks": networks, "training": training, "sweeps": sweeps,
    "single": single}


def peaks(threads: int) -> dict:
    """GFLOP/s of a multiply-add loop and GB/s of a copy beyond the caches (read and written)."""
    torch.set_num_threads(threads)
    loops, length = 2_000_000, 1 << 25
    out = torch.zeros(64, dtype=torch.float64)
    source, target = torch.ones(2, length, dtype=torch.float64)
    arithmetic = best(lambda: native.call("peak_arithmetic", threads, native.long(loops), out))
    copied = best(lambda: native.call("peak_copy", threads, native.long(length), source, target))
    return {"gflops": 768e-9 * loops * threads / arithmetic, "gbytes": 16e-9 * length / copied}


def fits(extent: int, chains: int) -> bool:
    """Whether the fields of this size and the results (gradients too) fit into free memory."""
    free = 1024 * int(next(line.split()[1] for line in Path("/proc/meminfo").open()
                           if line.startswith("MemAvailable")))
    return 12 * LINKS * chains * extent**4 < free


def rows(cases: list[Case], fields: Fields, threads: int, peak: dict, compare: bool,
         budget: float) -> list[dict]:
    """One row for every case on these fields."""
    torch.set_num_threads(threads)
    sites = fields.chains * fields.volume
    result = []
    for case in cases:
        seconds = best(lambda case=case: case.run(fields), budget)
        row = {"function": case.name, "lattice": fields.extent, "chains": fields.chains,
               "threads": threads, "us_per_site": 1e6 * seconds / sites,
               "gflops": 1e-9 * case.flop * sites / seconds,
               "gbytes": 1e-9 * case.bytes * sites / seconds}
        row["of_peak"] = max(row["gflops"] / peak["gflops"], row["gbytes"] / peak["gbytes"])
        if compare:
            for name, other in (("torch", case.torch), ("autograd", case.autograd)):
                if other is not None:
                    with fast.using("torch"):
                        slow = best(lambda other=other: other(fields), 0.01, 2)
                    row[f"{name}_us"] = 1e6 * slow / sites
                    row[f"{name}_ratio"] = slow / seconds
        result.append(row)
    return result


def gains(table: list[dict], before: list[dict]) -> None:
    """Adds, to rows of several threads, how much faster they are than one thread was."""
    alone = {(row["function"], row["lattice"], row["chains"]): row["us_per_site"]
             for row in before if row["threads"] == 1}
    for row in table:
        time = alone.get((row["function"], row["lattice"], row["chains"]))
        if row["threads"] > 1 and time is not None:
            row["over_one_thread"] = time / row["us_per_site"]


def exponents(force: Case, budget: float) -> list[dict]:
    """a of cost ~ size^a of the force, from end to end, in the caches and beyond them."""
    torch.set_num_threads(1)

    def seconds(fields: Fields) -> float:
        return best(lambda: force.run(fields), budget)

    rows = []
    for small, large in (((8, 1), (20, 1)), ((16, 1), (24, 1)), ((24, 1), (32, 1)),
                         ((8, 1), (8, 16)), ((8, 8), (8, 32))):
        if not fits(*large):
            continue
        sizes = [extent**4 * chains for extent, chains in (small, large)]
        times = [seconds(Fields(*one)) for one in (small, large)]
        name = " .. ".join(f"{extent}^4 x {chains}" for extent, chains in (small, large))
        rows.append({"against": f"lattice x chains, {name}",
                     "exponent": math.log(times[1] / times[0]) / math.log(sizes[1] / sizes[0])})
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lattices", default="8,16,32")
    parser.add_argument("--threads", default=f"1,{os.cpu_count()}")
    parser.add_argument("--chains", default="1,8")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/kernels.json, "
                        "with an instruction set kernels_<set>.json")
    parser.add_argument("--quick", action="store_true", help="8^4, one thread, short")
    parser.add_argument("--instruction-set", choices=native.LEVELS["AVX512"],
                        help="measure the kernels built for it instead of the best there are")
    parser.add_argument("--tables", default=",".join(("functions", *TABLES, "exponents")))
    options = parser.parse_args()
    if options.json is None:
        ending = "" if options.instruction_set is None else f"_{options.instruction_set}"
        options.json = Path(f"benchmarks/results/kernels{ending}.json")
    return options


def keep_to(instruction_set: str) -> None:
    """Start this program anew with torch and kernels kept to `instruction_set`, unless they are."""
    if os.environ.get(CAPABILITY) != instruction_set:
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.kernels.run", *sys.argv[1:]],
                  {**os.environ, CAPABILITY: instruction_set})
    found = native.library()
    if found is None or found.level != instruction_set:
        sys.exit(f"kernels: expected the {instruction_set} build, found "
                 f"{'none' if found is None else found.level}; build it with "
                 f"L2HMC_BRIDGE_KERNELS={instruction_set} on a processor that has it")


def functions(lattices: list[int], counts: list[int], batches: list[int], peak: dict,
              budget: float) -> list[dict]:
    """Rows of every case, lattice, number of chains and number of threads."""
    found: list[dict] = []
    for extent in lattices:
        for threads in counts:
            for chains in batches:
                if not fits(extent, chains):
                    print(f"\n{extent}^4, {chains} chains: left out, not enough memory")
                    continue
                compare = extent <= 16 and (chains == 1 or extent <= 8) and threads == 1
                table = rows(CASES, Fields(extent, chains), threads, peak[str(threads)], compare,
                             budget)
                gains(table, found)
                show(f"functions, {extent}^4, {chains} chains, {threads} threads", table)
                found += table
    return found


def main() -> None:
    options = arguments()
    if options.instruction_set is not None:
        keep_to(options.instruction_set)
    lattices = [8] if options.quick else [int(n) for n in options.lattices.split(",")]
    counts = [1] if options.quick else sorted({int(n) for n in options.threads.split(",")})
    budget = QUICK_SECONDS if options.quick else 0.6
    tables = options.tables.split(",")
    fast.keep_memory()
    command = " ".join(["python -m benchmarks.kernels.run", *sys.argv[1:]])
    report = {"machine": {**machine(), "command": command},
              "peaks": {str(n): peaks(n) for n in counts}}
    show("machine", [report["machine"]])
    show("measured peaks", [{"threads": n, **report["peaks"][str(n)]} for n in counts])
    if "functions" in tables:
        batches = [1] if options.quick else [int(n) for n in options.chains.split(",")]
        report["functions"] = functions(lattices, counts, batches, report["peaks"], budget)
    for name, table in TABLES.items():
        if name in tables:
            report[name] = [row for extent in lattices if extent <= 16
                            for row in table(extent, budget)]
            show(name, report[name])
    if "exponents" in tables:
        report["exponents"] = exponents(CASES[0], budget)
        show("cost", report["exponents"])
    report["machine"]["load_at_end"] = machine()["load"]
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    options.json.with_suffix(".md").write_text("\n".join(markdown(report)) + "\n")
    print(f"\nwritten to {options.json} and, as tables, .md beside it")


if __name__ == "__main__":
    main()
