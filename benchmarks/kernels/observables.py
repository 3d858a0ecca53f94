"""Plaquette, charges and one flow step: the compiled kernels against plain torch formulas.

    python -m benchmarks.kernels.observables [--threads 1] [--lattices 8,16] [--repeats 5] [--json]

Both are timed in one run, alternating, the best of `repeats` each; their results are compared
first. Numbers are microseconds per site and the ratio torch / kernels.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast import reference
from l2hmc_bridge.observables import flow, standard as obs
from l2hmc_bridge.observables.topology import FIVE_LOOP_SHAPES
from l2hmc_bridge.systems.actions import hot_start

FLOW_STEP = 0.02


def one_flow_step(links: torch.Tensor) -> torch.Tensor:
    """The links after one step of Luescher's scheme."""
    return next(iter(flow.integrate(links, [FLOW_STEP], FLOW_STEP)))[1]


CASES: dict[str, tuple[Callable, Callable]] = {
    "plaquette": (obs.plaquette, lambda links: reference.plaquettes(links).mean(1)),
    "clover charge": (obs.topological_charge, lambda links: reference.clover(links)[:, 2]),
    "five-loop charge": (obs.topological_charge_5li,
                         lambda links: reference.charge(links, FIVE_LOOP_SHAPES)),
    "flow step": (one_flow_step, lambda links: reference_flow(links)),
}


def reference_flow(links: torch.Tensor) -> torch.Tensor:
    """The same step with every function in torch."""
    with fast.using("torch"):
        return one_flow_step(links)


def timed(function: Callable, links: torch.Tensor) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    function(links)
    return time.perf_counter() - began


def compare(size: int, repeats: int) -> list[dict]:
    """One row per case on size^4."""
    links = hot_start((size,) * 4, torch.Generator().manual_seed(size))
    sites, rows = size**4, []
    for name, (kernels, plain) in CASES.items():
        error = float((kernels(links) - plain(links)).abs().max())
        if not error < 1e-10:
            raise SystemExit(f"{name} on {size}^4: the two differ by {error:.1e}")
        best = [float("inf"), float("inf")]
        for _ in range(repeats):
            for index, function in enumerate((kernels, plain)):
                best[index] = min(best[index], timed(function, links))
        rows.append({
            "lattice": f"{size}^4", "case": name, "difference": error,
            "kernels_us_per_site": 1e6 * best[0] / sites,
            "torch_us_per_site": 1e6 * best[1] / sites, "ratio": best[1] / best[0],
        })
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lattices", default="8,16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = [int(size) for size in arguments.lattices.split(",")]
    rows = [row for size in sizes for row in compare(size, arguments.repeats)]
    if arguments.json:
        print(json.dumps({"backend": fast.description(), "rows": rows}, indent=1))
        return
    print(f"{fast.description()}; torch {torch.__version__}, {arguments.threads} thread(s)")
    print(f"{'lattice':8} {'case':16} {'kernels us/site':>16} {'torch us/site':>14} {'ratio':>7}")
    for row in rows:
        print(f"{row['lattice']:8} {row['case']:16} {row['kernels_us_per_site']:16.3f} "
              f"{row['torch_us_per_site']:14.3f} {row['ratio']:7.1f}")


if __name__ == "__main__":
    main()
