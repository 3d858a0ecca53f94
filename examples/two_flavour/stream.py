"""A stream with two flavours of quarks: nested HMC, or a nested L2HMC step from a bundle.

    python examples/two_flavour/stream.py --lattice 4,4,4,4 --beta 6.0 --kappa 0.177 \\
        --two-kappa-mu 0.177 -n 200 --chains 16 --json OUT

--lattice is X,Y,Z,T. `--kernel hmc` is OMF2 at every level, tau = 1: `--outer` steps with `--inner`
ones in each drift. `--kernel wilson`, or a path, has a trained gauge step in there; a bundle with
levels, `quarks` that ships or one trained on this host, its own levels, too. `--tune` scales all
steps for 80 % acceptance first, which a bundle for any host needs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from l2hmc_bridge import fast, models
from l2hmc_bridge.analysis.statistics import estimate, exp_minus_dh
from l2hmc_bridge.bundle import file as bundle, nested as nested_bundle, store
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level, unsolved, usage
from l2hmc_bridge.sampling.markov import Kernel, trajectory_generator
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host, check_terms
from l2hmc_bridge.sampling.tuning import TRAJECTORIES, tune
from l2hmc_bridge.systems.actions import GaugeAction, hot_start

sys.path.append(str(Path(__file__).resolve().parents[1]))  # where the package of this file lies
from two_flavour.dirac import Quark  # noqa: E402
from two_flavour.host import two_flavour  # noqa: E402
from two_flavour.pion import correlator  # noqa: E402

# Random numbers that no trajectory uses.
THERMALISATION, TUNING, TEST, PION = 2**21, 2**19, 2**20, 512
HEATED = 60  # updates of the heat bath
WORST = 0.01  # of trajectories rejected because a solver gave up: more is said aloud


def extents(text: str) -> tuple[int, int, int, int]:
    """X,Y,Z,T as (t, x, y, z)."""
    x, y, z, t = map(int, text.split(","))
    return t, x, y, z


def at_least(least: int) -> Callable[[str], int]:
    """A whole number, as argparse asks for it."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"expected at least {least}, found {text}")
        return int(text)

    return number


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--lattice", type=extents, default="4,4,4,4", metavar="X,Y,Z,T")
    add("--beta", type=float, default=6.0)
    add("--kappa", type=float, default=0.177)
    add("--two-kappa-mu", type=float, default=0.0)
    add("--hasenbusch", type=float, help="2 kappa mu of a heavier quark: a ratio as second term")
    add("-n", "--trajectories", type=at_least(1), default=200)
    add("--chains", type=at_least(1), default=16)
    add("--kernel", default="hmc", help="hmc, a bundle, or a bundle with levels")
    add("--outer", type=at_least(1), default=6, help="steps of the outermost level")
    add("--inner", type=at_least(1), default=2, help="gauge steps in each drift, with hmc")
    add("--thermalise", type=at_least(0), default=30, help="trajectories that are not recorded")
    add("--tune", action="store_true",
        help=f"scale all steps for 80 %% acceptance first, in {TRAJECTORIES} trajectories")
    add("--tolerance", type=float, default=1e-7, help="of the solver")
    add("--limit", type=at_least(1), default=5000,
        help="iterations after which the solver gives up")
    add("--pion-every", type=at_least(0), default=2,
        help="trajectories between correlators, 0: none")
    add("--seed", type=int, default=1)
    add("--json", type=Path, help="where the result goes")
    return parser.parse_args(arguments)


def levels(host: Host, outer: int) -> tuple[Level, ...]:
    """Omelyan's second order at every level, tau = 1, the terms of the host from the inside out."""
    found = [Level(host.terms[-1].name, host.terms[-1:], schedule("omf2", 1 / outer, outer))]
    for term in host.terms[-2::-1]:
        found.insert(0, Level(term.name, (term,), schedule("omf2", 1.0, 1)))
    return tuple(found)


def kernel_of(given: argparse.Namespace, host: Host) -> Nested:
    """What --kernel names, around the terms of this host."""
    if given.kernel == "hmc":
        gauge: Kernel = HMC(GaugeAction(given.beta), 1 / given.inner, given.inner, "omf2")
        return Nested(gauge, levels(host, given.outer))
    path = models.located(given.kernel)
    if store.form_of(path) == store.NESTED:
        return nested_bundle.load(path, given.beta).on(host)
    return Nested(bundle.load(path, given.beta).kernel, levels(host, given.outer))


def generators(seed: int, chains: int, number: int) -> list[torch.Generator]:
    """One for each chain, so that any trajectory can be run again alone."""
    return [trajectory_generator(seed, chain, number) for chain in range(chains)]


def heated(given: argparse.Namespace) -> Tensor:
    """Links in equilibrium of the gauge action, in every centre sector.

    Quarks periodic in space prefer complex Polyakov loops there: a cold start is in the wrong
    sector, and trajectories take long to leave it.
    """
    bath = HeatBath(GaugeAction(given.beta))
    links = torch.cat([hot_start(given.lattice, one)
                       for one in generators(given.seed, given.chains, THERMALISATION - 1)])
    state = bath.init(links)
    for number in range(HEATED):
        state, _ = bath.step(state, generators(given.seed, given.chains, THERMALISATION + number))
    return state.links


def tuned(given: argparse.Namespace, kernel: Nested, links: Tensor) -> Nested:
    """The kernel with all steps scaled for 80 % acceptance, found on a copy of the links."""
    return kernel.scaled(tune(kernel, kernel.init(links), TRAJECTORIES, lambda n: generators(
        given.seed, given.chains, TUNING + n), lambda *_: False).factor)


def main(arguments: Sequence[str] | None = None) -> dict:
    """Run what the command line asks for; returns what --json holds."""
    given = options(arguments)
    host = two_flavour(given.lattice, given.kappa, given.two_kappa_mu, given.hasenbusch,
                       given.tolerance, given.limit)
    kernel, began = kernel_of(given, host), time.perf_counter()
    links = heated(given)
    if given.tune:
        kernel = tuned(given, kernel, links)
    links = thermalise(kernel, links, given.thermalise, lambda n: generators(
        given.seed, given.chains, 2 * THERMALISATION - 2**19 + n))
    check_terms(host.terms, links, generators(given.seed, given.chains, TEST))
    state, rows, infos, pions = kernel.init(links), [], [], []
    quark = Quark(given.kappa, given.two_kappa_mu)
    with torch.no_grad():
        for number in range(1, given.trajectories + 1):
            state, info = kernel.step(state, generators(given.seed, given.chains, number))
            infos.append(info)
            rows.append(torch.stack([fast.plaquettes(state.links).mean(1), -info.log_ratio,
                                     info.accepted.double()]))
            if given.pion_every and number % given.pion_every == 0:
                pions.append(correlator(state.links, quark,
                                        trajectory_generator(given.seed, PION, number)))
    result = summary(given, infos, torch.stack(rows).permute(1, 2, 0),
                     torch.stack(pions) if pions else None)
    result["length"] = kernel.length
    result["seconds"] = time.perf_counter() - began
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return result


def summary(given: argparse.Namespace, infos: Sequence, rows: Tensor, pions: Tensor | None) -> dict:
    """What the stream amounts to; rows are plaquette, dH, accepted, [3, chains, trajectories]."""
    weight, bad = exp_minus_dh(rows[1].numpy())
    total = rows[0].numel()
    failed = unsolved(infos)
    t, x, y, z = given.lattice
    result = {
        "options": {name: str(value) if isinstance(value, Path) else value
                    for name, value in vars(given).items()} | {"lattice": f"{x},{y},{z},{t}"},
        "plaquette": {**estimate(rows[0].numpy()).as_dict(),
                      "error_between_chains": between(rows[0])},
        "acceptance": float(rows[2].mean()),
        "exp_minus_dh": {**weight.as_dict(), "not_finite": bad},
        "levels": usage(infos),
        "gauge_forces": sum(info.force_evaluations for info in infos) / len(infos),
        "unsolved": failed,
        "warnings": [f"{failed} of {total} trajectories were rejected because a solver gave up: "
                     "raise --limit or --tolerance"] if failed > WORST * total else [],
    }
    if pions is not None:
        result["pion"] = pion(pions)
    return result


def between(rows: Tensor) -> float | None:
    """The error of the mean from the spread of chains [Nb, n]; None of one chain."""
    return float(rows.mean(1).std() / len(rows)**0.5) if len(rows) > 1 else None


def pion(measured: Tensor) -> dict:
    """C(t) and C(t) / C(t - 1) with jackknife errors over chains, [measurements, Nb, T/2 + 1]."""
    chains = measured.mean(0)
    left_out = (chains.sum(0) - chains) / max(len(chains) - 1, 1)
    both = torch.cat([left_out, left_out[:, 1:] / left_out[:, :-1]], 1)
    mean = chains.mean(0)
    centre = torch.cat([mean, mean[1:] / mean[:-1]])
    error = ((both - centre).square().sum(0) * (len(chains) - 1) / len(chains)).sqrt()
    rows = [{"value": v, "error": e} for v, e in zip(centre.tolist(), error.tolist(), strict=True)]
    return {"correlator": rows[:chains.shape[1]], "ratios": rows[chains.shape[1]:]}


if __name__ == "__main__":
    try:
        found = main()
    except (BridgeError, ValueError) as error:
        sys.exit(f"stream.py: {error}")
    print(json.dumps({key: found[key] for key in found if key != "options"}, indent=1))
