"""A training run from its history: loss, acceptance, <|dQ|> and step size against iterations.

    python examples/figures/training.py u1_beta4.safetensors.history.h5 --out figures

Several histories are drawn over each other. Lines are means over 20 iterations, bands the standard
error of these means; beta (annealing included) is in the last panel.
"""

import argparse
from pathlib import Path

import h5py
import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot

PANELS = {"loss": "loss", "acceptance": "acceptance", "charge_change": "$E[A |\\Delta Q|]$",
          "rms_log_ratio": "rms $(\\log|J| - \\Delta H)$", "step_size": "mean drift step",
          "beta": "beta"}
WINDOW = 20


def smoothed(values):
    """(centres, means, errors) over windows; a last incomplete window is left out."""
    count = len(values) // WINDOW
    parts = values[: count * WINDOW].reshape(count, WINDOW)
    centres = WINDOW * (np.arange(count) + 0.5)
    return centres, parts.mean(1), parts.std(1, ddof=1) / WINDOW**0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("histories", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6))
    for path in options.histories:
        with h5py.File(path) as file:
            columns = {name: file[name][:] for name in PANELS}
        for axis, (name, label) in zip(axes.flat, PANELS.items(), strict=True):
            values = columns[name]
            axis.set(xlabel="iteration", ylabel=label)
            if len(values) < WINDOW or not np.isfinite(values).all():
                continue
            centres, means, errors = smoothed(values)
            axis.plot(centres, means, label=path.name.split(".")[0])
            axis.fill_between(centres, means - errors, means + errors, alpha=0.3)
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(options.out / f"{options.histories[0].name.split('.')[0]}_training.png", dpi=150)


if __name__ == "__main__":
    main()
