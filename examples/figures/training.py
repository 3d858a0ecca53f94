"""A training run from its history: loss, acceptance, <|dQ|> and step size against iterations.

    python examples/figures/training.py u1_beta4.safetensors.history.h5 --out figures

Several histories are drawn over each other. Lines are means over 20 iterations, bands the standard
error of these means; beta (annealing included) is in the last panel. What no history has, such as
charges of SU(3), has no panel.
"""

import argparse
import json
import math
from pathlib import Path

import h5py
import numpy as np
from drawn import pyplot, save, warned

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


def described(path):
    """Name, lattices and betas of the run, for a legend."""
    with h5py.File(path) as file:
        config = json.loads(file.attrs["config"])
    lattices = dict.fromkeys("x".join(map(str, stage["lattice"])) for stage in config["stages"])
    betas = dict.fromkeys(f"{beta:g}" for stage in config["stages"]
                          for beta in stage.get("betas") or config["betas"])
    return f"{path.name.split('.')[0]}: {', '.join(lattices)}, beta {', '.join(betas)}"


def columns_of(path):
    """{name: values} of what can be drawn of a history."""
    with h5py.File(path) as file:
        found = {name: file[name][:] for name in PANELS if name in file}
    return {name: values for name, values in found.items()
            if len(values) >= WINDOW and np.isfinite(values).all()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("histories", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    runs = {path: columns_of(path) for path in options.histories}
    shown = [name for name in PANELS if any(name in columns for columns in runs.values())]
    if not shown:
        raise SystemExit(f"{options.histories[0]}: expected {WINDOW} iterations or more, found "
                         "fewer: nothing to draw")
    rows = math.ceil(len(shown) / 3)
    figure, axes = pyplot.subplots(rows, 3, figsize=(11, 3 * rows), squeeze=False)
    for axis in axes.flat[len(shown):]:
        axis.remove()
    for path, columns in runs.items():
        for axis, name in zip(axes.flat, shown, strict=False):
            axis.set(xlabel="iteration", ylabel=PANELS[name])
            if name not in columns:
                continue
            centres, means, errors = smoothed(columns[name])
            axis.plot(centres, means, label=described(path))
            axis.fill_between(centres, means - errors, means + errors, alpha=0.3)
    axes[0, 0].legend(fontsize=7)
    warned(figure, {path.name: columns["acceptance"][-WINDOW:].mean()
                    for path, columns in runs.items() if "acceptance" in columns})
    save(figure, options.out / f"{options.histories[0].name.split('.')[0]}_training.png")


if __name__ == "__main__":
    main()
