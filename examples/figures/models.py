"""Several trained models of 2D U(1) per beta: N_LF x tau_int(Q) of each, and <|dQ|> of a step.

    python examples/figures/models.py models.json --out figures

From files of benchmarks/sampler/models.py. tau_int is 1 + 2 sum rho, bars are errors of the Gamma
method. Hollow markers: models whose translations all have even charges, so that the parity of Q is
left to the leapfrog; their small tau_int(Q) says nothing of that. The line is the mean over the
others, its band the standard error of that mean from the spread of models.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
from drawn import pyplot, save

KINDS = ((True, "C2", "a trained model"), (False, "none", "a model of even charges only"))


def placed(models):
    """(model, x) with the models of one beta side by side."""
    for beta in sorted({model["beta"] for model in models}):
        row = [model for model in models if model["beta"] == beta]
        for place, one in enumerate(row):
            yield one, beta + 0.09 * (place - 0.5 * (len(row) - 1))


def ergodic(model):
    """Whether one of the charges is odd; networks without such translations count as others do."""
    return not model["charges"] or any(charge % 2 for charge in model["charges"])


def draw_models(axis, models, value):
    """A marker with its error for every model whose number is resolved, the mean over models."""
    for odd, face, label in KINDS:
        found = [(x, *value(one)) for one, x in placed(models)
                 if ergodic(one) == odd and math.isfinite(value(one)[0])]
        if found:
            axis.errorbar(*zip(*found, strict=True), fmt="D", color="C2", markerfacecolor=face,
                          markersize=5, capsize=3, label=label)
    betas, means, errors = [], [], []
    for beta in sorted({model["beta"] for model in models}):
        values = [value(model)[0] for model in models
                  if model["beta"] == beta and ergodic(model)]
        values = [one for one in values if math.isfinite(one)]
        if len(values) > 1:
            betas.append(beta)
            means.append(np.mean(values))
            errors.append(np.std(values, ddof=1) / len(values) ** 0.5)
    means, errors = np.array(means), np.array(errors)
    if betas:
        axis.plot(betas, means, "C2-", label="mean over models")
        axis.fill_between(betas, means - errors, means + errors, color="C2", alpha=0.25)


def draw_hmc(axis, rows):
    """N_LF tau_int of HMC: measured, its lower bound, and the slides' numbers."""
    betas = [row["beta"] for row in rows]
    bounds = [row["bound"] for row in rows]
    axis.errorbar(betas, bounds, [0.25 * y for y in bounds], fmt="_", color="C0", lolims=True,
                  label="HMC, best of a scan: lower bound")
    known = [row for row in rows if row["q"]]
    if known:
        axis.errorbar([row["beta"] for row in known], [row["q"]["n_lf_tau"] for row in known],
                      [row["q"]["n_lf_tau_error"] for row in known], fmt="oC0", capsize=3,
                      label="HMC, measured")
    for number, label, style in ((0, "slides, HMC", "C0:"), (1, "slides, trained", "C2:")):
        axis.plot(betas, [row["slides"][number] for row in rows], style, label=label)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = [json.loads(path.read_text()) for path in options.results]
    models = [result for results in found for result in results["models"]]
    rows = {row["beta"]: row for results in found for row in results["hmc"]}
    rows = [rows[beta] for beta in sorted(rows)]
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5))
    draw_models(axes[0], models, lambda one: (one["q"]["n_lf_tau"], one["q"]["n_lf_tau_error"]))
    draw_models(axes[1], models, lambda one: (one["dq"]["value"], one["dq"]["error"]))
    if rows:
        draw_hmc(axes[0], rows)
        axes[1].errorbar([row["beta"] for row in rows], [row["dq"]["value"] for row in rows],
                         [row["dq"]["error"] for row in rows], fmt="oC0", capsize=3,
                         label="HMC, best of a scan")
    axes[0].set(yscale="log", xlabel="beta", ylabel="$N_{LF}\\,\\tau_{int}(Q)$")
    axes[1].set(yscale="log", xlabel="beta", ylabel="$\\langle|\\Delta Q|\\rangle$ of a step")
    for axis in axes:
        axis.legend(fontsize=7)
    figure.suptitle("2D U(1), 16 x 16: models trained independently")
    save(figure, options.out / "models.png")


if __name__ == "__main__":
    main()
