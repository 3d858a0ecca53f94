"""2D U(1) on 16 x 16: topological tunnelling of HMC, HMC + instanton hits and trained bundles.

    python -m benchmarks.sampler.u1 --models examples/models --out u1.json

tau_int is that of the slides, 1 + 2 sum rho (independent = 1); N_LF counts every leapfrog. Columns:

(a) HMC, leapfrog: a scan over step and number of steps, the best by N_LF (1 + rho_1)/(1 - rho_1) of
    Q. For a reversible chain this is a lower bound of N_LF tau_int(Q), whatever the chain does at
    longer lags; rho_1 = 1 - E[dQ^2] / 2 <Q^2> with the exact <Q^2>, and E[dQ^2] at its upper 95 %
    limit. tau_int itself is measured where 14 tau per chain are affordable (beta <= 4).
(b) HMC + one uniform instanton hit (charge +-1) per trajectory, scanned over steps.
(c) the trained bundle, without hits.

All chains start in equilibrium. Seconds are processor seconds of one thread per chain and step.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields import u1
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.systems import u1_exact
from l2hmc_bridge.systems.actions import U1Action

LATTICE, VOLUME = (16, 16), 256
CHAINS = 128
STEPS, SIZES = (5, 10, 20, 40), (0.1, 0.15, 0.2, 0.25)
HIT_STEPS = (1, 2, 4, 10)
SLIDES = {2: (78, 2.1), 3: (304, 11.7), 4: (1066, 33.6), 5: (7410, 61.8), 6: (46000, 64.8),
          7: (134600, 99.2)}


def hit(action, state, generator):
    """One Metropolis hit with a uniform instanton of charge +-1."""
    chains = len(state.links)
    sign = (markov.draw_uniform(chains, generator) < 0.5).double() * 2 - 1
    moved = u1.wrap(state.links + sign.view(-1, 1, 1, 1) * u1.instanton(LATTICE))
    new = markov.State(moved, action(moved), action.force(moved))
    return markov.metropolis(state, new, state.action - new.action,
                             markov.draw_uniform(chains, generator))[0]


def equilibrium(action, generator, rounds=150):
    """Chains in equilibrium: HMC from the unit field, a hit after every trajectory."""
    kernel = HMC(action, 0.1, 5, "leapfrog")
    links = thermalise(kernel, u1.cold_start(LATTICE, CHAINS), 40, lambda n: generator)
    state = kernel.init(links)
    for _ in range(rounds):
        state, _ = kernel.step(state, generator)
        state = hit(action, state, generator)
    return state.links


def run(kernel, links, steps, generator, hits=False):
    """Series [chains, steps] of charge and plaquette, acceptance, seconds per chain and step."""
    state, charges, plaquettes, accepted = kernel.init(links), [], [], 0.0
    seconds = 0.0
    for _ in range(steps):
        began = time.process_time()
        state, info = kernel.step(state, generator)
        if hits:
            state = hit(kernel.action, state, generator)
        seconds += time.process_time() - began
        accepted += float(info.accepted.double().mean()) / steps
        charges.append(u1.topological_charge(state.links))
        plaquettes.append(u1.plaquette(state.links))
    return (torch.stack(charges, 1).numpy(), torch.stack(plaquettes, 1).numpy(), accepted,
            seconds / (steps * len(links)), info.force_evaluations)


def summary(series, beta):
    """tau_int (1 + 2 sum rho) of Q and Q^2 with errors, exact checks, cost."""
    charges, plaquettes, accepted, seconds, forces = series
    row = {"n_lf": forces, "acceptance": accepted, "seconds_per_step": seconds,
           "steps": charges.shape[1], "chains": charges.shape[0]}
    for name, values in (("q", charges), ("q2", charges**2), ("plaquette", plaquettes)):
        found = statistics.estimate(list(values))
        row[name] = {"value": found.value, "error": found.error, "tau": 2 * found.tau_int,
                     "tau_error": 2 * found.tau_int_error,
                     "n_lf_tau": 2 * forces * found.tau_int,
                     "n_lf_tau_error": 2 * forces * found.tau_int_error,
                     "seconds_tau": 2 * seconds * found.tau_int, "note": found.note}
    row["exact"] = {"plaquette": u1_exact.plaquette(beta, VOLUME),
                    "q2": u1_exact.charge_squared(beta, VOLUME)}
    row["sigma"] = {name: (row[name]["value"] - exact) / row[name]["error"]
                    for name, exact in row["exact"].items()}
    odd = charges % 2
    row["parity_changes"] = float((odd[:, 1:] != odd[:, :-1]).mean())
    return row


def scan_hmc(action, links, generator, leapfrogs):
    """Every (step size, steps) with its bound, best first."""
    exact, rows = u1_exact.charge_squared(action.beta, VOLUME), []
    for size in SIZES:
        for steps in STEPS:
            count = max(8, leapfrogs // steps)
            charges, _, accepted, seconds, _ = run(HMC(action, size, steps, "leapfrog"), links,
                                                   count, generator)
            jumps = (charges[:, 1:] - charges[:, :-1]) ** 2
            events, samples = float(jumps.sum()), jumps.size
            most = (events + 2 * math.sqrt(events + 1) + 2) / samples  # about the 95 % limit
            gap = min(most / (2 * exact), 1.0)
            rows.append({"step_size": size, "steps": steps, "acceptance": accepted,
                         "jumps": events, "samples": samples, "seconds_per_step": seconds,
                         "bound": steps * (2 - gap) / gap,
                         "estimate": steps * (4 * exact * samples / max(events, 1e-9) - 1)})
    return sorted(rows, key=lambda row: row["bound"])


def one_beta(beta, models, options):
    """All three columns at one coupling."""
    action = U1Action(float(beta))
    generator = torch.Generator().manual_seed(1000 + beta)
    links = equilibrium(action, generator)
    result = {"beta": beta, "slides": SLIDES[beta]}
    scan = scan_hmc(action, links, generator, options.scan)
    result["scan"] = scan
    if beta <= 4:
        best = HMC(action, scan[0]["step_size"], scan[0]["steps"], "leapfrog")
        count = int(options.hmc * {2: 1, 3: 4, 4: 14}[beta] / best.steps)
        result["hmc"] = summary(run(best, links, count, generator), beta)
    hits = []
    for steps in HIT_STEPS:
        kernel = HMC(action, 0.1, steps, "leapfrog")
        hits.append(summary(run(kernel, links, options.steps // 2, generator, hits=True), beta))
    result["hits"] = sorted(hits, key=lambda row: row["q"]["n_lf_tau"])
    path = models / f"u1_beta{beta}.safetensors"
    if path.exists():
        loaded = bundle.load(path, float(beta))
        # One leapfrog a step moves the plaquette slowly: its error asks for longer chains.
        count = options.steps * (6 if len(loaded.kernel.steps.drifts) == 1 else 1)
        result["trained"] = summary(run(loaded.kernel, links, count, generator), beta)
        result["training_seconds"] = loaded.meta["provenance"]["seconds"]
        result["bundle"] = loaded.hash
    return result


def table(results):
    """Markdown lines: N_LF tau_int of Q and Q^2, seconds x tau_int(Q)."""
    def of(row, name):
        if not row or not math.isfinite(row[name]["n_lf_tau"]):
            return "-"
        return f"{row[name]['n_lf_tau']:.3g} +- {row[name]['n_lf_tau_error']:.1g}"

    yield ("| beta | HMC scan bound | HMC Q | HMC Q^2 | + hit Q | + hit Q^2 | trained Q | "
           "trained Q^2 | slides' trained | ms x tau(Q): HMC, hit, trained |")
    yield "|---" * 10 + "|"
    for result in results:
        hmc, best, ours = result.get("hmc"), result["hits"][0], result.get("trained")
        scan = result["scan"][0]
        plain = scan["bound"] / scan["steps"] * scan["seconds_per_step"]
        milli = ", ".join(f"{1e3 * value:.3g}" for value in (
            plain, best["q"]["seconds_tau"], ours["q"]["seconds_tau"] if ours else math.nan))
        yield (f"| {result['beta']} | > {scan['bound']:.0f} | {of(hmc, 'q')} | {of(hmc, 'q2')} | "
               f"{of(best, 'q')} | {of(best, 'q2')} | {of(ours, 'q')} | {of(ours, 'q2')} | "
               f"{result['slides'][1]} | {milli} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("examples/models"))
    parser.add_argument("--betas", type=int, nargs="+", default=[2, 3, 4, 5, 6, 7])
    parser.add_argument("--steps", type=int, default=1500, help="of trained chains")
    parser.add_argument("--scan", type=int, default=400, help="leapfrogs of each scanned setting")
    parser.add_argument("--hmc", type=int, default=1066, help="leapfrogs of HMC, unit of tau")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for beta in options.betas:
        results.append(one_beta(beta, options.models, options))
        options.out.write_text(json.dumps(results, indent=1))
        print("\n".join(table(results)), flush=True)


if __name__ == "__main__":
    main()
