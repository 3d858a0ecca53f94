"""Two Gaussians in R^2: HMC against a trained bundle in effective samples per gradient, a picture.

    python -m benchmarks.sampler.mixture --bundle examples/models/mixture.safetensors \
        --out mixture.json --picture mixture.png

HMC (leapfrog) at steps 0.25 and 0.5 and over a scan of both step and length. ESS per gradient is
1 / (gradients per step x tau_int), tau_int = 1 + 2 sum rho of the component that tells the modes
apart. Where no chain crosses, tau_int has a lower bound only: (1 + rho_1)/(1 - rho_1) for a
reversible chain, with rho_1 from the 95 % limit of the crossings seen.
"""

import argparse
import json
import math
from pathlib import Path

import torch

from l2hmc_bridge.analysis import statistics
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.sampling.hmc import HMC

CHAINS = 256
SIZES, STEPS = (0.1, 0.25, 0.35, 0.5), (1, 2, 5, 10, 20)


def equilibrium(action, generator):
    """Independent points of the mixture itself."""
    means = torch.tensor(action.means, dtype=torch.float64)
    modes = torch.multinomial(torch.tensor(action.weights), CHAINS, True, generator=generator)
    noise = torch.randn(CHAINS, action.dimension, generator=generator, dtype=torch.float64)
    return means[modes] + math.sqrt(action.variance) * noise


def chain(kernel, points, steps, generator):
    """(points [steps, chains, n], acceptance, gradients per step)."""
    state, seen, accepted = kernel.init(points), [], 0.0
    for _ in range(steps):
        state, info = kernel.step(state, generator)
        seen.append(state.links)
        accepted += float(info.accepted.double().mean()) / steps
    return torch.stack(seen), accepted, info.force_evaluations


def measure(kernel, points, steps, generator, action):
    """One row of the table."""
    series, accepted, gradients = chain(kernel, points, steps, generator)
    first = series[:, :, 0]
    crossings = float(((first[1:] > 0) != (first[:-1] > 0)).sum())
    samples = first[1:].numel()
    shares = torch.stack([action.shares(one) for one in series])
    row = {"acceptance": accepted, "gradients": gradients, "crossings": crossings,
           "samples": samples}
    for name, values in (("x0", first), ("x0_squared", first.square()), ("x1", series[:, :, 1]),
                         ("share", shares[:, :, 0])):
        found = statistics.estimate(list(values.T.numpy()))
        row[name] = {"value": found.value, "error": found.error, "tau": 2 * found.tau_int,
                     "tau_error": 2 * found.tau_int_error}
    most = (crossings + 2 * math.sqrt(crossings + 1) + 2) / samples
    gap = min(2 * most, 1.0)  # E[(x' - x)^2] / 2 <x^2> of a jump by 4 between modes at +-2
    row["ess_per_gradient_at_most"] = gap / (2 - gap) / gradients
    tau = row["x0"]["tau"]
    row["ess_per_gradient"] = 1 / (gradients * tau) if math.isfinite(tau) else None
    return row, series


def picture(path, columns):
    """One chain of every kernel: where it goes, and its first component against time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(columns), figsize=(4 * len(columns), 6))
    for column, (name, series) in zip(axes.T, columns, strict=True):
        column[0].scatter(*series[:, :4].reshape(-1, 2).T, s=1, alpha=0.3)
        column[0].set(title=name, xlim=(-3.5, 3.5), ylim=(-1.8, 1.8), xlabel="x0", ylabel="x1")
        column[1].plot(series[:200, 0, 0], linewidth=0.7)
        column[1].set(xlabel="step", ylabel="x0", ylim=(-3.5, 3.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = bundle.load(options.bundle, 1.0)
    action, generator = loaded.kernel.action, torch.Generator().manual_seed(11)
    points = equilibrium(action, generator)
    results, shown = {}, []
    for size in SIZES:
        for steps in STEPS:
            name = f"HMC {size:g} x {steps}"
            results[name], series = measure(HMC(action, size, steps, "leapfrog"), points,
                                            options.steps, generator, action)
            if steps == 10 and size in (0.25, 0.5):
                shown.append((name, series))
    results["trained"], series = measure(loaded.kernel, points, options.steps, generator, action)
    shown.append(("trained", series))
    options.out.write_text(json.dumps(results, indent=1))
    if options.picture:
        picture(options.picture, shown)
    for name, row in results.items():
        print(f"{name:14s} acceptance {row['acceptance']:.2f} crossings {row['crossings']:.0f} of "
              f"{row['samples']} ESS/gradient {row['ess_per_gradient'] or math.nan:.3g} (at most "
              f"{row['ess_per_gradient_at_most']:.2g}) share "
              f"{statistics.with_error(row['share']['value'], row['share']['error'])}")


if __name__ == "__main__":
    main()
