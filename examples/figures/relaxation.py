"""A trained kernel and HMC from the same cold start: plaquette and |delta U_mu_nu|^2 per step.

    python examples/figures/relaxation.py su3_dense.safetensors --lattice 4,4,4,4 --out figures

delta U_mu_nu is the difference of the plaquettes of the two chains, site by site and plane by
plane; |.|^2 is the Frobenius norm, averaged over sites, planes and chains. Bands are standard
errors over chains. Two independent chains keep a difference: theirs is the dotted line.
"""

import argparse
from pathlib import Path

import torch
from drawn import heading, pyplot, save, warned

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields import loops, u1
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems import table as systems


def plaquettes(group, links):
    """Plaquettes of every site and plane as complex numbers or matrices, [Nb, ...]."""
    if group == "u1":
        angles = u1.plaquette_angles(links)
        return torch.complex(torch.cos(angles), torch.sin(angles))[..., None, None]
    planes = []
    for mu in range(4):
        for nu in range(mu + 1, 4):
            there = links[:, mu] @ loops.shift(links[:, nu], mu)
            back = links[:, nu] @ loops.shift(links[:, mu], nu)
            planes.append(there @ back.mH)
    return torch.stack(planes, 1)


def difference(group, one, other):
    """Mean |delta U_mu_nu|^2 of two batches of chains, [Nb]."""
    apart = plaquettes(group, one) - plaquettes(group, other)
    squares = torch.view_as_real(apart).square().sum((-3, -2, -1))
    return squares.flatten(1).mean(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--lattice", required=True, help="x,y,z,t or x,t")
    parser.add_argument("--chains", type=int, default=8)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    kernel = bundle.load(options.bundle).kernel
    system, group = systems.system_of(kernel.action), kernel.action.group
    lattice = tuple(int(n) for n in options.lattice.split(","))
    kernels = {"trained": kernel, "HMC": HMC(kernel.action, 0.1, 10, "omf2"),
               "HMC again": HMC(kernel.action, 0.1, 10, "omf2")}
    generators = {name: torch.Generator().manual_seed(n) for n, name in enumerate(kernels)}
    states = {name: one.init(system.cold(lattice, options.chains))
              for name, one in kernels.items()}
    seen, apart = {name: [] for name in kernels}, {"trained": [], "HMC again": []}
    taken = dict.fromkeys(kernels, 0.0)
    for _ in range(options.steps):
        for name, one in kernels.items():
            states[name], info = one.step(states[name], generators[name])
            taken[name] += float(info.accepted.double().mean()) / options.steps
            seen[name].append(system.observable(states[name].links))
        for name in apart:
            apart[name].append(difference(group, states[name].links, states["HMC"].links))
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.8))
    panels = ((axes[0], {k: seen[k] for k in ("trained", "HMC")}, "mean plaquette"),
              (axes[1], {"trained - HMC": apart["trained"], "HMC - HMC": apart["HMC again"]},
               "$|\\delta U_{\\mu\\nu}|^2$"))
    for axis, rows, label in panels:
        for name, values in rows.items():
            values = torch.stack(values)
            mean, error = values.mean(1), values.std(1) / values.shape[1] ** 0.5
            steps = torch.arange(1, len(mean) + 1)
            axis.plot(steps, mean, ":" if name == "HMC - HMC" else "-", label=name)
            axis.fill_between(steps, mean - error, mean + error, alpha=0.3)
        axis.set(xlabel="step", ylabel=label)
        axis.legend(fontsize=7)
    about = heading(options.bundle.stem, kernel, lattice)
    figure.suptitle(f"{about}, {options.chains} chains")
    warned(figure, taken)
    save(figure, options.out / f"{options.bundle.stem}_relaxation.png")


if __name__ == "__main__":
    main()
