"""log|J| along a trajectory as training goes on: one curve for each of several bundles.

    python examples/figures/jacobian.py su3_dense.iteration100.safetensors \
        su3_dense.iteration500.safetensors su3_dense.iteration1000.safetensors \
        --lattice 4,4,4,4 --out figures

Upper panel: log|J| so far against the leapfrog step. Lower panel: H - log|J| since the start, of
which the accept step sees the end. Lines are means over chains in equilibrium, which all bundles
share with their momenta; bands are the standard deviation over chains, inner bands the standard
error of the mean. The bundles are those of the key `snapshots` of a training file, or any others.
"""

import argparse
from pathlib import Path

import torch
from drawn import heading, pyplot, save, warned
from trajectory import accepted, equilibrium

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.l2hmc import trace
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.systems.groups import group_of


def draw(axis, values, name):
    """Mean, spread and error of the mean of [steps + 1, chains]."""
    steps, mean, spread = range(len(values)), values.mean(1), values.std(1)
    (line,) = axis.plot(steps, mean, marker="o", markersize=3, label=name)
    for width, alpha in ((spread, 0.15), (spread / values.shape[1] ** 0.5, 0.4)):
        axis.fill_between(steps, mean - width, mean + width, alpha=alpha, color=line.get_color())


def label(loaded):
    """What a bundle says of its training."""
    told = loaded.meta["provenance"]
    return f"{told['iterations']} iterations" if "iterations" in told else Path(loaded.path).stem


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--lattice", required=True, help="x,y,z,t; x,t; n")
    parser.add_argument("--chains", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    lattice = tuple(int(n) for n in options.lattice.split(","))
    loaded = [bundle.load(path) for path in options.bundles]
    generator = torch.Generator().manual_seed(1)
    links = equilibrium(loaded[0].kernel, lattice, options.chains, generator)
    momenta = markov.draw_momenta(links, generator, group_of(loaded[0].kernel.action))
    figure, axes = pyplot.subplots(2, 1, figsize=(7, 7), sharex=True)
    acceptances = {}
    for one in loaded:
        found = trace.proposal(one.kernel, links, momenta)
        draw(axes[0], torch.stack([record.log_det for record in found]), label(one))
        draw(axes[1], torch.stack([record.effective - found[0].effective for record in found]),
             label(one))
        acceptances[label(one)] = accepted(found)
        for name, record in (("middle", found[len(found) // 2]), ("end", found[-1])):
            print(f"{label(one)}: log|J| at the {name} {float(record.log_det.mean()):.3f} +- "
                  f"{float(record.log_det.std()):.3f} (spread over chains)")
    name = options.bundles[0].stem.split(".")[0]
    axes[0].set(ylabel="log|J|", title=f"{heading(name, loaded[0].kernel, lattice)}; bands: spread "
                f"of {options.chains} chains, error of the mean")
    axes[0].title.set_fontsize(9)
    axes[1].set(xlabel="leapfrog step", ylabel="H - log|J| - start")
    axes[0].legend(fontsize=8)
    warned(figure, acceptances)
    save(figure, options.out / f"{name}_jacobian.png")


if __name__ == "__main__":
    main()
