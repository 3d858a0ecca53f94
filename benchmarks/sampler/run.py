"""Trained updates against HMC on 8^4: what models/README.md states comes from one run of this.

    python -m benchmarks.sampler.run --bundle steps=wilson.safetensors --bundle kick=... \
        --seconds 150 --out sampler.json

1. Scan: HMC with each integrator at MD lengths 0.5, 1, 2, 4 and steps for about 70 and 85 per cent
   acceptance, every bundle with one, two and three palindromes (MD lengths up to 4 as well) scaled
   to the same acceptances; the best by the squared jump of the flowed energy per force evaluation.
2. Long runs of the best setting of every integrator and bundle, several chains.
Seconds are processor seconds of one thread, so that a busy machine does not count.
"""

import argparse
import functools
import itertools
import json
import math
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields import loops
from l2hmc_bridge.networks.covariant import MomentumMixing
from l2hmc_bridge.observables import flow, standard as observables
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.sampling.integrators import INTEGRATORS
from l2hmc_bridge.systems.actions import cold_start, gauge_action

LATTICE = (8, 8, 8, 8)
CHAINS = 4
LENGTHS = (0.5, 1.0, 2.0, 4.0)
TARGETS = (0.7, 0.85)
REPEATS = (1, 2, 3)  # palindromes in a row of a bundle's trajectory
FLOW_STEP = 0.15
MEASURE_EVERY = 2.5  # MD time between flowed measurements


def starting_links(beta: float, seed: int) -> torch.Tensor:
    """Four chains on 8^4 from the unit field: 60 trajectories of length 1, then 60 of length 4."""
    links = cold_start(LATTICE, CHAINS)
    for first, (length, steps, name) in enumerate(((1.0, 8, "omf2"), (4.0, 14, "force_gradient"))):
        hmc = HMC(gauge_action("wilson", beta), length / steps, steps, name)
        links = thermalise(hmc, links, 60, lambda n, first=first: markov.trajectory_generator(
            seed, 1023, 60 * first + n))
    return links


def kernel_of(setting: dict, beta: float):
    """HMC, or a bundle with its steps scaled, as the setting says."""
    if setting["kind"] == "hmc":
        steps = setting["steps"]
        return HMC(gauge_action("wilson", beta), setting["length"] / steps, steps,
                   setting["integrator"])
    kernel = bundle.load(setting["path"], beta).kernel
    if setting["mixing"]:
        mixing = MomentumMixing()
        torch.nn.init.constant_(mixing.coefficient, setting["mixing"])
        kernel = replace(kernel, mixing=mixing)
    kernel = replace(kernel, repeats=setting["repeats"])
    return kernel.scaled(setting["scale"])


@torch.no_grad()
def predicted_acceptance(kernel, links: torch.Tensor) -> float:
    """erfc(sqrt(<dH^2> / 8)) from two proposals of each chain."""
    state, squares = kernel.init(links), []
    for n in range(2):
        _, info = markov.propose(kernel, state, markov.trajectory_generator(77, n, 0))
        squares.append(info.log_ratio.square())
    mean = float(torch.cat(squares).mean())
    return math.erfc(math.sqrt(mean / 8)) if math.isfinite(mean) else 0.0


@torch.no_grad()
def run(task: tuple[dict, float, float, int]) -> dict:
    """One setting for so many processor seconds; means, tau_int, squared jumps, with errors."""
    setting, beta, seconds, seed = task
    torch.set_num_threads(1)
    fast.keep_memory()
    kernel, links = kernel_of(setting, beta), torch.load(setting["start"], weights_only=True)
    state = kernel.init(links)
    every = max(1, round(MEASURE_EVERY / kernel.length))
    rows = {name: [] for name in ("plaquette", "e1", "e2", "accepted", "weight")}
    stepping, forces, n, begin = 0.0, 0, 0, time.process_time()
    while time.process_time() - begin < seconds or n < 16:
        clock = time.process_time()
        generators = [markov.trajectory_generator(seed, c, n) for c in range(CHAINS)]
        state, info = kernel.step(state, generators)
        stepping += time.process_time() - clock
        forces, n = info.force_evaluations, n + 1
        rows["plaquette"].append(loops.plaquettes(state.links).mean(1).numpy())
        rows["accepted"].append(info.accepted.double().numpy())
        rows["weight"].append(info.log_ratio.exp().nan_to_num(0.0).numpy())
        if n % every == 0:
            for name, (_, smooth) in zip(("e1", "e2"), flow.integrate(
                    state.links, [1.0, 2.0], FLOW_STEP), strict=True):
                rows[name].append(observables.energy_density(smooth).numpy())
    return summarise(setting, beta, kernel, rows, every, forces, stepping / (n * CHAINS), n)


def summarise(setting, beta, kernel, rows, every, forces, cost, n) -> dict:
    """Numbers per trajectory, per force evaluation and per second of one run."""
    result = {"setting": {k: v for k, v in setting.items() if k != "start"}, "beta": beta,
              "length": kernel.length, "forces": forces, "trajectories": n * CHAINS,
              "seconds_per_trajectory": cost,
              "acceptance": float(np.mean(rows["accepted"])),
              "exp_minus_dh": statistics.estimate(np.array(rows["weight"]).T).as_dict()}
    for name, spacing in (("plaquette", 1), ("e1", every), ("e2", every)):
        series = np.array(rows[name]).T
        estimate = statistics.estimate(series)
        jump = np.square(np.diff(series, axis=1))
        # tau_int in trajectories: the samples are `spacing` trajectories apart.
        result[name] = {
            **estimate.as_dict(),
            "tau_trajectories": estimate.tau_int * spacing,
            "tau_trajectories_error": estimate.tau_int_error * spacing,
            "tau_forces": estimate.tau_int * spacing * forces,
            "tau_seconds": estimate.tau_int * spacing * cost,
            "squared_jump": float(jump.mean()),
            "squared_jump_error": float(jump.mean(1).std() / math.sqrt(CHAINS)),
            "jump_per_force": float(jump.mean()) / (spacing * forces),
        }
    return result


def candidates(beta: float, links: torch.Tensor, start: str) -> list[dict]:
    """HMC settings of the scan: per integrator and length the steps nearest the targets."""
    found = []
    for name, length in itertools.product(INTEGRATORS, LENGTHS):

        @functools.cache
        def acceptance(steps: int, name=name, length=length) -> float:
            return predicted_acceptance(
                HMC(gauge_action("wilson", beta), length / steps, steps, name), links)

        for target in TARGETS:
            high = next(2**k for k in range(9) if k == 8 or acceptance(2**k) >= target)
            low = high // 2 + 1
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if acceptance(middle) >= target else (middle + 1, high)
            setting = {"kind": "hmc", "integrator": name, "length": length, "steps": low,
                       "start": start}
            if setting not in found:
                found.append(setting)
    return found


def scaled_to(setting: dict, beta: float, links: torch.Tensor, target: float) -> dict:
    """The setting of a bundle with its steps scaled to the predicted acceptance `target`."""
    low, high = 0.3, 2.5
    for _ in range(10):
        middle = math.sqrt(low * high)
        kernel = kernel_of(dict(setting, scale=middle), beta)
        good = predicted_acceptance(kernel, links) >= target
        low, high = (middle, high) if good else (low, middle)
    return dict(setting, scale=low)


def bundle_candidates(options, beta: float, links: torch.Tensor, start: str) -> list[dict]:
    """Settings of the scan for every bundle, and each strength of mixing."""
    given = [named.split("=", 1) for named in options.bundle]
    return [
        scaled_to({"kind": "bundle", "name": name, "path": path, "start": start, "mixing": mixing,
                   "repeats": repeats}, beta, links, target)
        for (name, path), mixing, repeats, target in itertools.product(
            given, (0.0, *options.mixing), REPEATS, TARGETS)
    ]


def label(setting: dict) -> str:
    """What a setting is one of: an integrator, or a bundle with its mixing."""
    if setting["kind"] == "hmc":
        return setting["integrator"]
    return setting["name"] + (f", mixing {setting['mixing']:g}" if setting["mixing"] else "")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--mixing", type=float, nargs="*", default=[],
                        help="momentum mixing of these strengths added to every bundle")
    parser.add_argument("--betas", type=float, nargs="+", default=[6.0, 5.8])
    parser.add_argument("--seconds", type=float, default=150, help="of each long run")
    parser.add_argument("--scan-seconds", type=float, default=12, help="of each scanned setting")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("sampler.json"))
    return parser.parse_args()


def main() -> None:
    """Scan, long runs, one JSON file; the tables are printed by sampler/table.py."""
    options = arguments()
    torch.set_num_threads(1)
    report = {"machine": {"processor": platform.processor(), "kernels": fast.description(),
                          "torch": torch.__version__}, "scan": [], "long": [],
              "hashes": {one: bundle.load(one.split("=", 1)[-1]).hash for one in options.bundle},
              "options": {k: str(v) for k, v in vars(options).items()}}
    with ProcessPoolExecutor(options.jobs) as pool:
        for beta in options.betas:
            links, start = starting_links(beta, 11), f"{options.out}.start{beta}.pt"
            torch.save(links, start)
            settings = [*candidates(beta, links, start),
                        *bundle_candidates(options, beta, links, start)]
            scan, best = [(setting, beta, options.scan_seconds, 21) for setting in settings], {}
            for row in pool.map(run, scan):
                report["scan"].append(row)
                name, jump = label(row["setting"]), row["e1"]["jump_per_force"]
                if name not in best or jump > best[name]["e1"]["jump_per_force"]:
                    best[name] = row
                print(json.dumps(row["setting"]), round(row["acceptance"], 3), jump, flush=True)
            long = [(dict(row["setting"], start=start), beta, options.seconds, 31)
                    for row in best.values()]
            for row in pool.map(run, long):
                report["long"].append(row)
                print(json.dumps(row), flush=True)
                options.out.write_text(json.dumps(report, indent=1))
            Path(start).unlink()


if __name__ == "__main__":
    main()
