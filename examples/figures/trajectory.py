"""Observables along one trajectory of a bundle, trained and with HMC's steps in its place.

    python examples/figures/trajectory.py examples/models/u1_beta4.safetensors --lattice 16,16 \
        --out figures

Mean plaquette, H - log|J|, log|J| and |delta U|^2 (links that moved since the start) against MD
time, with the standard error of the mean over chains as bands. The chains start in equilibrium:
HMC from the unit field and, on 2D U(1), instanton hits for their charges; a mixture is drawn.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from drawn import heading, pyplot, save, warned

from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields import u1
from l2hmc_bridge.l2hmc import trace
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.systems import table as systems
from l2hmc_bridge.systems.groups import group_of


def equilibrium(kernel, lattice, chains, generator):
    """Chains of the bundle's action."""
    system = systems.system_of(kernel.action)
    if kernel.action.group == "vector":
        means = torch.tensor(kernel.action.means, dtype=torch.float64)
        weights = torch.tensor(kernel.action.weights)
        modes = torch.multinomial(weights, chains, True, generator=generator)
        noise = torch.randn(chains, *lattice, generator=generator, dtype=torch.float64)
        return means[modes] + kernel.action.variance**0.5 * noise
    hmc = HMC(kernel.action, 0.1, 10, "omf2")
    links = thermalise(hmc, system.cold(lattice, chains), 40, lambda n: generator)
    if kernel.action.group != "u1":
        return links
    state = hmc.init(links)
    for _ in range(60):
        sign = (markov.draw_uniform(chains, generator) < 0.5).double() * 2 - 1
        moved = u1.wrap(state.links + sign.view(-1, 1, 1, 1) * u1.instanton(lattice[::-1]))
        new = hmc.init(moved)
        state, _ = markov.metropolis(state, new, state.action - new.action,
                                     markov.draw_uniform(chains, generator))
        state, _ = hmc.step(state, generator)
    return state.links


def distance(group, one, other):
    """Mean |U' - U|^2 per link, [Nb]."""
    if group == "u1":
        return 2 * (1 - torch.cos(one - other)).flatten(1).mean(1)
    if group == "vector":
        return (one - other).square().sum(1)
    change = torch.view_as_real(one - other).square().flatten(1).sum(1)
    return change / (one[0].numel() / 9)


def accepted(found):
    """Mean of min(1, exp(-dH + log|J|)) over the chains of a traced proposal; NaN counts as 0."""
    change = found[-1].effective - found[0].effective
    return float(torch.exp(-change).clamp(max=1).nan_to_num(0).mean())


def curves(kernel, found, links):
    """{name: [layers + 1, chains]} and the MD times."""
    start, group = found[0], kernel.action.group
    series = {
        "mean |x|^2" if group == "vector" else "mean plaquette": [one.observable for one in found],
        "H - log|J| - start": [one.effective - start.effective for one in found],
        "log|J|": [one.log_det for one in found],
        "|delta U|^2": [distance(group, one.links, links) for one in found],
    }
    return [one.time for one in found], {k: torch.stack(v) for k, v in series.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--lattice", required=True, help="x,y,z,t; x,t; n")
    parser.add_argument("--chains", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("figures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    lattice = tuple(int(n) for n in options.lattice.split(","))
    kernel = bundle.load(options.bundle).kernel
    generator = torch.Generator().manual_seed(1)
    links = equilibrium(kernel, lattice, options.chains, generator)
    momenta = markov.draw_momenta(links, generator, group_of(kernel.action))
    plain = replace(kernel, kick_network=None, drift_network=None, mixing=None)
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6))
    acceptances = {}
    for name, one in (("trained", kernel), ("networks off", plain)):
        found = trace.proposal(one, links, momenta)
        acceptances[name] = accepted(found)
        times, series = curves(one, found, links)
        for axis, (label, values) in zip(axes.flat, series.items(), strict=True):
            mean, error = values.mean(1), values.std(1) / values.shape[1] ** 0.5
            axis.plot(times, mean, marker="o", label=name)
            axis.fill_between(times, mean - error, mean + error, alpha=0.3)
            axis.set(xlabel="MD time", ylabel=label)
    axes[0, 0].legend()
    figure.suptitle(heading(options.bundle.stem, kernel, lattice))
    warned(figure, acceptances)
    save(figure, options.out / f"{options.bundle.stem}_trajectory.png")


if __name__ == "__main__":
    main()
