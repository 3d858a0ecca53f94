"""Figures of 2D U(1) from a run of benchmarks/sampler/u1.py: N_LF x tau_int against beta, and <dQ>.

    python examples/figures/headline.py u1.json --out figures

tau_int is 1 + 2 sum rho, with Gamma-method errors; arrows are the lower bounds of HMC.
"""

import argparse
import json
import math
from pathlib import Path

from drawn import pyplot, save


def points(results, key, observable):
    """(betas, N_LF tau, error) if they are resolved; the best of a list."""
    found = []
    for result in results:
        row = result.get(key)
        row = row[0] if isinstance(row, list) else row
        if row and math.isfinite(row[observable]["n_lf_tau"]):
            one = row[observable]
            found.append((result["beta"], one["n_lf_tau"], one["n_lf_tau_error"]))
    return list(zip(*found, strict=True)) if found else [(), (), ()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = sorted(json.loads(options.results.read_text()), key=lambda one: one["beta"])
    for observable, name in (("q", "Q"), ("q2", "Q^2")):
        figure, axis = pyplot.subplots(figsize=(6, 4.5))
        for key, label, marker in (("hmc", "HMC, best of a scan", "o"),
                                   ("hits", "HMC + instanton hit, best of a scan", "s"),
                                   ("trained", "trained L2HMC", "D")):
            betas, values, errors = points(results, key, observable)
            axis.errorbar(betas, values, errors, fmt=marker, label=label, capsize=3)
        if observable == "q":
            betas = [result["beta"] for result in results]
            axis.errorbar(betas, [result["scan"][0]["bound"] for result in results], fmt="_",
                          color="C0", label="HMC, lower bound", lolims=True,
                          yerr=[0.2 * result["scan"][0]["bound"] for result in results])
            axis.plot(betas, [row["slides"][0] for row in results], "C0:", label="slides, HMC")
            axis.plot(betas, [row["slides"][1] for row in results], "C2:", label="slides, trained")
        axis.set(yscale="log", xlabel="beta", ylabel=f"$N_{{LF}}\\,\\tau_{{int}}({name})$",
                 title="2D U(1), 16 x 16")
        axis.legend(fontsize=7)
        save(figure, options.out / f"tau_{observable}.png")


if __name__ == "__main__":
    main()
