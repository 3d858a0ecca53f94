"""Several trained models of 2D U(1), 16 x 16: tau_int(Q), <|dQ|> and <Q^2> of each, next to HMC.

    python -m benchmarks.sampler.models runs/*.safetensors \
        --hmc benchmarks/results/u1.json --out models.json

For models of the same file but another seed (`l2hmc-bridge train FILE --seed S`). Chains start in
equilibrium as in u1.py, whose tau_int this is (1 + 2 sum rho, errors by the Gamma method).
`charges` are those of the translations that a gate network has learned. A model with even charges
alone leaves the parity of Q to the leapfrog, however small its tau_int(Q): see `parity_changes`.
HMC is the best setting of each beta in a file of u1.py.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.sampler import u1 as bench_u1
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields import u1
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import U1Action


def jump(charges):
    """{mean |Q' - Q| of one step, its standard error over chains} of a series [chains, steps]."""
    per_chain = abs(charges[:, 1:] - charges[:, :-1]).mean(1)
    return {"value": float(per_chain.mean()),
            "error": float(per_chain.std(ddof=1) / len(per_chain) ** 0.5)}


def learned_charges(kernel):
    """Whole charges of the translations of a gate network; [] for other networks."""
    network = kernel.drift_network
    if network is None or network.kind != "gate":
        return []
    fields = network.weight.detach()[0, network.outputs.index("t")].T
    return [round(float(q)) for q in u1.topological_charge(u1.wrap(fields.reshape(-1,
                                                                                 *network.shape)))]


def one_model(path, start, steps):
    """The row of one bundle; `start` gives (chains in equilibrium, generator) at a beta."""
    loaded = bundle.load(path)
    beta = loaded.kernel.action.beta
    links, generator = start(beta)
    series = bench_u1.run(loaded.kernel, links, steps, generator)
    told = loaded.meta["provenance"]
    return {"name": path.stem, "beta": beta, "seed": told["config"]["seed"], "bundle": loaded.hash,
            "training_seconds": told["seconds"], "charges": learned_charges(loaded.kernel),
            "dq": jump(series[0]), **bench_u1.summary(series, beta)}


def one_hmc(result, start, leapfrogs):
    """<|dQ|> of the best HMC of one beta, and what u1.py found of its tau_int."""
    best = result["scan"][0]
    links, generator = start(result["beta"])
    kernel = HMC(U1Action(float(result["beta"])), best["step_size"], best["steps"], "leapfrog")
    charges = bench_u1.run(kernel, links, max(8, leapfrogs // best["steps"]), generator)[0]
    return {"beta": result["beta"], "step_size": best["step_size"], "n_lf": best["steps"],
            "bound": best["bound"], "dq": jump(charges),
            "q": result.get("hmc", {}).get("q"), "slides": result["slides"]}


def starts():
    """beta -> (chains in equilibrium, a generator), the chains made once for each beta."""
    made = {}

    def start(beta):
        generator = torch.Generator().manual_seed(round(1000 * beta))
        if beta not in made:
            made[beta] = bench_u1.equilibrium(U1Action(float(beta)), generator)
        return made[beta], generator.manual_seed(round(1000 * beta) + 1)

    return start


def line(row):
    """A line of Markdown."""
    def of(name):
        return f"{row[name]['n_lf_tau']:.3g} +- {row[name]['n_lf_tau_error']:.1g}"

    return (f"| {row['beta']:g} | {row['name']} | {row['seed']} | {row['charges']} | {row['n_lf']} "
            f"| {row['acceptance']:.2f} | {of('q')} | {of('q2')} | {row['dq']['value']:.3f} +- "
            f"{row['dq']['error']:.1g} | {row['sigma']['q2']:+.1f} | {row['parity_changes']:.3f} | "
            f"{row['training_seconds']:.0f} s |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--hmc", type=Path, metavar="JSON", help="of u1.py")
    parser.add_argument("--leapfrogs", type=int, default=2000, help="of HMC, for <|dQ|>")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, results = starts(), {"models": [], "hmc": []}
    print("| beta | model | seed | charges | N_LF | acceptance | N_LF x tau(Q) | Q^2 | "
          "<\\|dQ\\|> | sigma of <Q^2> | parity changes | training |\n" + "|---" * 12 + "|")
    for path in options.bundles:
        results["models"].append(one_model(path, start, options.steps))
        print(line(results["models"][-1]), flush=True)
    if options.hmc:
        betas = {row["beta"] for row in results["models"]}
        results["hmc"] = [one_hmc(result, start, options.leapfrogs)
                          for result in json.loads(options.hmc.read_text())
                          if result["beta"] in betas]
    options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
