"""Every way to sample the Wilson action, by what its slow modes cost: one JSON, one page.

    python -m benchmarks.sampler.run --lattice 8 --beta 6.0           # scan, long runs, page
    python -m benchmarks.sampler.run --lattice 16 --beta 6.2 --only "heat bath" --seconds 3600
    python -m benchmarks.sampler.run --costs                           # costs again, all in one run
    python -m benchmarks.sampler.run --page                            # the page alone

For every kernel (HMC with four integrators, the trained steps, the same in V = F^-1(U) with
constant rho, with momentum mixing, heat bath and overrelaxation, mixtures; --bundle adds others): a
short run of each setting of a scan (MD lengths or palindromes, steps for 70 and 85 % acceptance),
then a long run of the one with the largest squared jump of the flowed energy per second.
What is done stands in --out, written after every run: the same call goes on where it was stopped.
Seconds are those of the processor, one thread.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch

from benchmarks.sampler import table
from benchmarks.sampler.kernels import LARGE, Setting, candidates, families, family
from benchmarks.sampler.measure import measure, recost, start
from l2hmc_bridge import fast
from l2hmc_bridge.storage.atomic import replacing

RESULTS = Path(__file__).parents[1] / "results" / "efficiency.json"
PAGE = Path(__file__).parents[1] / "efficiency.md"
SEED = 11


def main(argv: list[str] | None = None) -> None:
    """Scan and measure what was not measured yet, then write the page."""
    options = arguments().parse_args(argv)
    torch.set_num_threads(1)
    fast.keep_memory()
    report = read(options.out)
    if options.costs:
        recost(report["long"], SEED)
        write(options.out, report)
    elif not options.page:
        for beta in options.beta:
            run(report, options, beta)
    page = PAGE if options.out == RESULTS else options.out.with_suffix(".md")
    page.write_text(table.page(report))
    print(f"wrote {page}")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lattice", type=int, default=8, help="extent in every direction")
    parser.add_argument("--beta", type=float, nargs="+", default=[6.0])
    parser.add_argument("--only", action="append", default=[], metavar="WORDS",
                        help="kernels whose name has these words")
    parser.add_argument("--bundle", action="append", default=[], metavar="PATH")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--scan-seconds", type=float, default=8, help="of each scanned setting")
    parser.add_argument("--seconds", type=float, default=300, help="of each long run")
    parser.add_argument("--error", type=float, default=0.08, help="of tau(E(t=2)) that is enough")
    parser.add_argument("--costs", action="store_true",
                        help="measure again what a trajectory of every row costs, no more")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def run(report: dict[str, Any], options: argparse.Namespace, beta: float) -> None:
    """One coupling: every kernel asked for, those that stand in the report left out."""
    size = options.lattice
    links = None
    for name in families(options.bundle, size**4 > LARGE):
        wanted = not options.only or any(words in name for words in options.only)
        place = {"lattice": size, "beta": beta, "family": name}
        if not wanted or any(same(row, place) for row in report["long"]):
            continue
        if links is None:
            links = start((size,) * 4, beta, options.chains, SEED)
        scan = [row for row in report["scan"] if same(row, place)]
        found = [] if scan else mixed(report, place) or candidates(name, beta, links)
        for setting in found if len(found) > 1 else []:
            row = {**place, **measure(setting, beta, links, options.scan_seconds, 0.0, 21)}
            scan.append(row)
            report["scan"].append(row)
            say(row)
            write(options.out, report)
        best = max(scan, key=gain)["setting"] if scan else found[0]
        row = {**place, **measure(best, beta, links, options.seconds, options.error, 31)}
        report["long"].append(row)
        say(row)
        write(options.out, report)


def mixed(report: dict[str, Any], place: dict[str, Any]) -> list[Setting]:
    """The mixture of the settings that its kernels were found best with; [] without them."""
    names = place["family"].split(" and ")
    parts = [row["setting"] for name in names for row in report["long"]
             if same(row, {**place, "family": name})]
    both = len(names) == len(parts) == 2
    return [{"kind": "mixture", "parts": [[part, 1] for part in parts]}] if both else []


def gain(row: dict[str, Any]) -> float:
    """Squared jump of E(t=1) per second."""
    return row["E(t=1)"]["jump"] / row["seconds_per_trajectory"]


def same(row: dict[str, Any], place: dict[str, Any]) -> bool:
    """Whether a row is one of this lattice, coupling and kernel."""
    return all(row[key] == value for key, value in place.items())


def read(path: Path) -> dict[str, Any]:
    """What was measured before, or a new report."""
    if path.exists():
        return json.loads(path.read_text())
    return {"machine": {"processor": platform.processor(), "kernels": fast.description(),
                        "torch": torch.__version__}, "scan": [], "long": []}


def write(path: Path, report: dict[str, Any]) -> None:
    """Replace the report, whole."""
    with replacing(path, force=True) as file:
        file.write(json.dumps(report, indent=1).encode())


def say(row: dict[str, Any]) -> None:
    """A line for who watches."""
    print(f"{row['lattice']}^4 {row['beta']:g} {family(row['setting'])}: acceptance "
          f"{row['acceptance']:.3f}, {row['trajectories']} trajectories, jump per second "
          f"{gain(row):.3g}, tau(E(t=2)) {row['E(t=2)']['tau']}", flush=True)


if __name__ == "__main__":
    main()
