"""GPT's pure-gauge HMC (applications/hmc/pure_gauge.py there), every k-th trajectory L2HMC.

    source gpt/lib/cgpt/build/source.sh
    python examples/gpt_stream.py --n 200 --every 2 --beta 6.0 --grid 8.8.8.8 --seed stream-1

GPT's action, momenta, integrator, accept/reject, random numbers, plaquette, charge and files; the
L2HMC trajectory is one more update in the loop. `--mode proposal` leaves its accept/reject, too, to
GPT's own metropolis. Configurations are ckpoint_lat.<trajectory>, in NERSC format.
"""

import math
from pathlib import Path
from typing import NamedTuple

from l2hmc_bridge import models
from l2hmc_bridge.adapters.hosts import gpt as bridge
from l2hmc_bridge.bundle import file as bundle


class Row(NamedTuple):
    """One trajectory: which update made it, and GPT's plaquette and clover charge after it."""

    number: int
    update: str
    accepted: bool
    delta_h: float
    plaquette: float
    charge: float


def hmc_update(g, rng, U, action, tau, steps):
    """GPT's HMC trajectory, word for word, as a function () -> (accepted, dH)."""
    momenta, kinetic = g.group.cartesian(U), g.qcd.scalar.action.mass_term()
    symplectic = g.algorithms.integrator.symplectic
    integrator = symplectic.OMF2(
        steps,
        symplectic.update_p(momenta, lambda: action.gradient(U, U)),
        symplectic.update_q(U, lambda: kinetic.gradient(momenta, momenta)),
    )
    metropolis = g.algorithms.markov.metropolis(rng)

    def update():
        rng.normal_element(momenta)
        accrej = metropolis(U)
        h0 = kinetic(momenta) + action(U)
        integrator(tau)
        h1 = kinetic(momenta) + action(U)
        return accrej(h1, h0), h1 - h0

    return update


def l2hmc_update(g, rng, U, action, kernel, mode):
    """The same for a trained kernel: our accept/reject, or our proposal before GPT's."""
    if mode == "update":
        move = bridge.l2hmc_update(kernel, rng)
        return lambda: move(U)
    propose, metropolis = bridge.l2hmc_proposal(kernel, rng), g.algorithms.markov.metropolis(rng)

    def update():
        accrej = metropolis(U)
        h0 = action(U)
        correction = propose(U)  # U is U' from here on; dK - log|J|
        h1 = action(U) + correction
        return accrej(h1, h0), h1 - h0

    return update


def stream(g, lattice, beta, trajectories, every, kernel=None, seed="stream", mode="update",
           tau=1.0, steps=8, thermalise=20, folder=None, write=10):
    """Rows of a stream from a hot start; every = 0 is GPT's HMC alone.

    kernel: the one that ships, at this beta, if None. Files go to `folder`, made if need be;
    FileExistsError if it holds a stream already, which GPT would overwrite.
    """
    if mode not in ("update", "proposal"):
        raise ValueError(f"--mode: expected update or proposal, found {mode}")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if any(Path(folder).glob("ckpoint_lat.*")):
            raise FileExistsError(f"{folder}: expected no ckpoint_lat files (--folder names "
                                  "another)")
    rng = g.random(seed)
    U = g.qcd.gauge.unit(g.grid(list(lattice), g.double))
    rng.normal_element(U)
    action = g.qcd.gauge.action.wilson(beta)
    kernel = kernel or bundle.load(models.default(), beta=bridge.gauge_action(action).beta).kernel
    hmc = hmc_update(g, rng, U, action, tau, steps)
    learned = l2hmc_update(g, rng, U, action, kernel, mode)
    for _ in range(thermalise):
        hmc()
    rows = []
    for number in range(1, trajectories + 1):
        name, update = ("l2hmc", learned) if every and number % every == 0 else ("hmc", hmc)
        accepted, delta_h = update()
        rows.append(Row(number, name, bool(accepted), float(delta_h), g.qcd.gauge.plaquette(U),
                        g.qcd.gauge.topological_charge(U)))
        g.message(" ".join(map(str, rows[-1])))
        if folder is not None and number % write == 0:
            g.save(str(Path(folder) / f"ckpoint_lat.{number}"), U, g.format.nersc())
    return rows


def main():
    """Run what the command line asks for and report acceptance, dH and <exp(-dH)> by update."""
    g = bridge.library()
    rows = stream(
        g, [int(n) for n in g.default.get("--grid", "8.8.8.8").split(".")],
        g.default.get_float("--beta", 6.0), g.default.get_int("--n", 200),
        g.default.get_int("--every", 2), seed=g.default.get("--seed", "gpt-stream"),
        mode=g.default.get("--mode", "update"), thermalise=g.default.get_int("--ntherm", 100),
        folder=g.default.get("--folder", "."), write=g.default.get_int("--nwrite", 10),
    )
    for name in ("hmc", "l2hmc"):
        mine = [row for row in rows if row.update == name]
        if mine:
            weight = sum(math.exp(-row.delta_h) for row in mine) / len(mine)
            g.message(f"{name}: {len(mine)} updates, acceptance "
                      f"{sum(row.accepted for row in mine) / len(mine):.2f}, <exp(-dH)> "
                      f"{weight:.4f}")


if __name__ == "__main__":
    main()
