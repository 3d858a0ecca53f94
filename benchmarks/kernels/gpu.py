"""The Triton kernels on a GPU against torch there: the table of kernels/run.py.

    python -m benchmarks.kernels.gpu [--lattices 8,16,32] [--precisions double,single] [--json FILE]

Says so and ends if there is no GPU. Times are the best of several calls, waited for; "torch"
are the formulas of fast/reference.py on the same GPU, in the same run. "of peak" is the larger of
flop over a measured loop of multiply-adds and bytes over a measured copy. The first call of a
kernel compiles it and tries it against torch; its seconds stand in the table of first calls.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.kernels.cases import BETA, CASES, LINKS, Case
from benchmarks.kernels.table import FUNCTIONS, table
from benchmarks.timing import show
from l2hmc_bridge import fast
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.gpu import functions as gpu, launch
from l2hmc_bridge.fast.gpu.gradients import differentiated
from l2hmc_bridge.fast.gradients import Gradients
from l2hmc_bridge.fields import su3
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction

DTYPES = {"double": torch.complex128, "single": torch.complex64}
PROGRAMS, WIDTH, CHAINS = 8192, 256, 8  # of the multiply-add loop
ON_GPU = [one for one in CASES if one.torch]  # all but what is of main memory alone
MOST_SITES = 1 << 19  # for which torch has room to differentiate


class Fields:
    """Haar links and Gaussian momenta on a device."""

    def __init__(self, extent: int, chains: int, device: torch.device, dtype: torch.dtype):
        generator = torch.Generator(device).manual_seed(extent)
        shape = (chains, 4, *(extent,) * 4)
        self.extent, self.chains, self.volume = extent, chains, extent**4
        self.links = su3.random_group(shape, generator).to(dtype)
        self.momenta = su3.random_algebra(shape, generator).to(dtype)


def wait(device: torch.device) -> None:
    """Until the GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def best(function: Callable, device: torch.device, budget: float, least: int = 3) -> float:
    """Fastest of at least `least` calls in seconds, more until `budget` is spent."""
    times, start = [], time.perf_counter()
    while len(times) < least or (time.perf_counter() - start < budget and len(times) < 200):
        wait(device)
        begin = time.perf_counter()
        function()
        wait(device)
        times.append(time.perf_counter() - begin)
    return min(times)


def peaks(device: torch.device, dtype: torch.dtype, options: argparse.Namespace) -> dict:
    """GFLOP/s of a multiply-add loop and GB/s of a copy, read and written."""
    from benchmarks.kernels.gpu_peak import multiply_add

    programs, loops, length = (2, 4, 1 << 10) if options.interpreted else (PROGRAMS, 4096, 1 << 27)
    out = torch.zeros(programs * WIDTH, dtype=dtype.to_real(), device=device)
    source, target = torch.ones(2, length, dtype=torch.float64, device=device)
    multiply_add[(programs,)](out, loops, BLOCK=WIDTH)
    arithmetic = best(lambda: multiply_add[(programs,)](out, loops, BLOCK=WIDTH), device,
                      options.budget, options.least)
    copied = best(lambda: target.copy_(source), device, options.budget, options.least)
    return {"gflops": 2e-9 * CHAINS * loops * programs * WIDTH / arithmetic,
            "gbytes": 16e-9 * length / copied}


def first_calls(cases: list[Case], fields: Fields) -> list[dict]:
    """Seconds of the first call of each function: compilation, or reading what is on disk."""
    rows = []
    for case in cases:
        begin = time.perf_counter()
        case.run(fields)
        wait(fields.links.device)
        rows.append({"function": case.name, "seconds": time.perf_counter() - begin})
    return rows + [{"function": "all", "seconds": sum(row["seconds"] for row in rows)}]


def row(case: Case, fields: Fields, peak: dict, options: argparse.Namespace) -> dict:
    """One line of the table."""
    device, sites = fields.links.device, fields.chains * fields.volume
    seconds = best(lambda: case.run(fields), device, options.budget, options.least)
    moved = case.bytes * (1.0 if fields.links.dtype == torch.complex128 else 0.5)
    found = {"function": case.name, "us_per_site": 1e6 * seconds / sites,
             "gflops": 1e-9 * case.flop * sites / seconds, "gbytes": 1e-9 * moved * sites / seconds}
    found["of_peak"] = max(found["gflops"] / peak["gflops"], found["gbytes"] / peak["gbytes"])
    roomy = sites <= MOST_SITES or not case.name.startswith("gradient")
    for name, other in (("torch", case.torch), ("autograd", case.autograd)):
        if other is not None and roomy:
            with fast.using("torch"):
                slow = best(lambda other=other: other(fields), device, 0.01, options.least)
            found[f"{name}_us"], found[f"{name}_ratio"] = 1e6 * slow / sites, slow / seconds
    return found


def trajectory(fields: Fields, options: argparse.Namespace) -> dict:
    """A whole HMC step of ten Omelyan steps, momenta and accept/reject included."""
    device, sites = fields.links.device, fields.chains * fields.volume
    hmc, generator = HMC(GaugeAction(BETA), 0.02, 10), torch.Generator(device).manual_seed(2)
    state = hmc.init(fields.links)
    seconds = best(lambda: hmc.step(state, generator), device, options.budget, options.least)
    with fast.using("torch"):
        slow = best(lambda: hmc.step(state, generator), device, 0.01, options.least)
    return {"function": "HMC trajectory", "us_per_site": 1e6 * seconds / sites,
            "torch_us": 1e6 * slow / sites, "torch_ratio": slow / seconds}


def fits(extent: int, chains: int, device: torch.device) -> bool:
    """Whether the fields, and what torch needs beside them, fit into the GPU's memory."""
    if device.type != "cuda":
        return True
    return 40 * LINKS * chains * extent**4 < torch.cuda.mem_get_info(device)[0]


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lattices", default="8,16,32")
    parser.add_argument("--chains", default="1,8")
    parser.add_argument("--precisions", default="double,single")
    parser.add_argument("--only", help="these functions, separated by ;")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/gpu.json"))
    parser.add_argument("--interpreted", action="store_true",
                        help="try this program in Triton's interpreter; its times mean nothing")
    options = parser.parse_args(given)
    options.budget, options.least = (0.0, 1) if options.interpreted else (0.6, 3)
    return options


def report_on(device: torch.device, options: argparse.Namespace) -> dict:
    """Measure and print everything."""
    wanted = options.only.split(";") if options.only else [case.name for case in ON_GPU]
    cases = [case for case in ON_GPU if case.name in wanted]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "Triton's interpreter"
    report = {"machine": {"gpu": name, "torch": torch.__version__}, "peaks": {},
              "first_calls": {}, "functions": []}
    show("machine", [report["machine"]])
    for precision in options.precisions.split(","):
        dtype = DTYPES[precision]
        peak = report["peaks"][precision] = peaks(device, dtype, options)
        show(f"measured peaks, {precision}", [peak])
        small = Fields(2 if options.interpreted else 4, 1, device, dtype)
        report["first_calls"][precision] = first_calls(cases, small)
        show(f"first calls, {precision}", report["first_calls"][precision])
        for extent, chains in ((int(n), int(k)) for n in options.lattices.split(",")
                               for k in options.chains.split(",")):
            if not fits(extent, chains, device):
                print(f"\n{extent}^4, {chains} chains: left out, not enough memory")
                continue
            fields = Fields(extent, chains, device, dtype)
            rows = [row(case, fields, peak, options) for case in cases]
            if precision == "double" and "HMC trajectory" in (options.only or "HMC trajectory"):
                rows.append(trajectory(fields, options))
            show(f"functions, {extent}^4, {chains} chains, {precision}", rows)
            report["functions"] += [{"lattice": extent, "chains": chains, "precision": precision,
                                     **one} for one in rows]
    return report


def markdown(report: dict) -> str:
    """The same as a page of tables."""
    lines = ["# Kernels on a GPU: measured", "",
             f"{report['machine']['gpu']}, torch {report['machine']['torch']}. " + "; ".join(
                 f"{name} precision: {peak['gflops']:.0f} GFLOP/s, copy {peak['gbytes']:.0f} GB/s"
                 for name, peak in report["peaks"].items())]
    groups: dict[tuple, list[dict]] = {}
    for one in report["functions"]:
        groups.setdefault((one["lattice"], one["chains"], one["precision"]), []).append(one)
    for (lattice, chains, precision), rows in groups.items():
        lines += ["", f"## {lattice}^4, {chains} chain(s), {precision} precision", ""]
        lines += table(rows, FUNCTIONS)
    return "\n".join(lines) + "\n"


def interpreted(*given: torch.Tensor | float) -> ModuleType | Gradients:
    """What serves fields in main memory as if they lay on a GPU."""
    if fast.choice() == "torch":
        return reference
    recorded = any(isinstance(one, torch.Tensor) and one.requires_grad for one in given)
    return fast.BACKENDS["cuda with gradients" if recorded else "cuda"]


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    if options.interpreted:
        launch.trusted = gpu.trusted = differentiated.agrees = lambda *_: True
        fast.backend = interpreted
        device = torch.device("cpu")
    elif torch.cuda.is_available() and launch.triton_available():
        device = torch.device("cuda:0")
    else:
        print("no GPU here, or no triton: nothing is measured")
        return
    report = report_on(device, options)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    options.json.with_suffix(".md").write_text(markdown(report))
    print(f"\nwritten to {options.json} and, as tables, .md beside it")


if __name__ == "__main__":
    main()
