"""A GPT stream with two flavours of twisted-mass Wilson quarks, every trajectory a nested step.

    source gpt/lib/cgpt/build/source.sh
    python examples/gpt_two_flavour.py --n 100 --grid 8.8.8.8 --beta 6.0 --kappa 0.15 --mu 0.05

Pseudofermions, solvers, their forces, random noise, plaquette and files are GPT's; the steps around
its forces are ours. `--gauge ours` has the trained gauge step that ships inside of them, `--gauge
gpt` GPT's own integrator of its gauge action. `--levels quarks` takes the level that ships for any
host, `--levels my.safetensors` those trained on this one (`host` below is what `train` asks for,
with chains = 1: GPT holds one field), in place of Omelyan's with `--outer` steps; `--length` scales
them to this MD time, as 80 % acceptance asks. On several ranks (`mpirun -n 2 python ... --mpi
1.1.1.2`, with mpi4py) each holds its sites. A GPT since July 2025: before, its cg did not say that
it had failed.
"""

import math
from pathlib import Path

from l2hmc_bridge import models
from l2hmc_bridge.adapters.hosts import gpt, gpt_terms as bridge
from l2hmc_bridge.bundle import file as bundle, nested as nested_bundle
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host

EXACT = {"eps": 1e-11, "maxiter": 10000, "fail_if_not_converged": True}
SLOPPY = {**EXACT, "eps": 1e-8}
FAILURES = (ValueError,)  # what its cg then raises
MANY = 0.01  # of trajectories rejected because a solver gave up: more is said aloud


def host(lattice, kappa=0.15, mu=0.0):
    """The host on a lattice (t, x, y, z), as `train` asks for it."""
    g, (t, x, y, z) = gpt.library(), lattice
    U = g.qcd.gauge.unit(g.grid([x, y, z, t], g.double))
    return quarks(g, U, g.random("train"), kappa, mu)


def quarks(g, U, rng, kappa, mu, exact=EXACT, sloppy=SLOPPY):
    """det(M^+ M) of Wilson quarks, M = D_W + i mu gamma_5, antiperiodic in time."""
    quark = g.qcd.fermion.wilson_twisted_mass(U, mass=0.5 / kappa - 4, mu=mu,
                                              boundary_phases=[1, 1, 1, -1])
    action = g.qcd.pseudofermion.action.two_flavor_evenodd_schur
    cg = g.algorithms.inverter.cg
    term = bridge.host_term("quarks", action(quark, cg(exact)), U, g.vspincolor(quark.F_grid_eo),
                            rng, force=action(quark, cg(sloppy)), gives_up=FAILURES)
    return Host("GPT two flavours of twisted-mass Wilson quarks", {"kappa": kappa, "mu": mu},
                (term,))


def gauge_step(g, U, beta, which, steps=4):
    """The innermost step: ours, or GPT's OMF2 of its Wilson action on fields of its own."""
    if which == "ours":
        return bundle.load(models.default(), beta=beta).kernel
    links = g.copy(U)
    momenta = g.group.cartesian(links)
    action, kinetic = g.qcd.gauge.action.wilson(beta), g.qcd.scalar.action.mass_term()
    symplectic = g.algorithms.integrator.symplectic
    integrator = symplectic.OMF2(
        steps,
        symplectic.update_p(momenta, lambda: action.gradient(links, links)),
        symplectic.update_q(links, lambda: kinetic.gradient(momenta, momenta)),
    )
    return bridge.gauge_step(integrator, links, momenta, action, forces=2 * steps + 1)


def stream(g, lattice, beta, kappa, mu, trajectories, gauge="ours", outer=6, levels=None,
           seed="quarks", thermalise=10, folder=None, write=10, length=None, exact=EXACT,
           sloppy=SLOPPY):
    """(rows of (accepted, dH, plaquette), what each level cost) from a hot start.

    Files go to `folder`, made if need be; FileExistsError if it holds a stream already, which GPT
    would overwrite.
    """
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if any(Path(folder).glob("ckpoint_lat.*")):
            raise FileExistsError(f"{folder}: expected no ckpoint_lat files (--folder names "
                                  "another)")
    rng = g.random(seed)
    U = g.qcd.gauge.unit(g.grid(list(lattice), g.double))
    rng.normal_element(U)
    found, inner = quarks(g, U, rng, kappa, mu, exact, sloppy), gauge_step(g, U, beta, gauge)
    if levels is not None:
        kernel = nested_bundle.load(models.located(levels), beta).on(found)
        kernel = kernel if gauge == "ours" else Nested(inner, kernel.levels)
    else:
        kernel = Nested(inner, (Level("quarks", found.terms, schedule("omf2", 1 / outer, outer)),))
    if length is not None:
        kernel = kernel.scaled(length / kernel.length)
    update, rows = bridge.nested_update(kernel, rng), []
    update.check(U)
    for number in range(1 - thermalise, trajectories + 1):
        accepted, delta = update(U)
        if number < 1:
            continue
        rows.append((accepted, delta, g.qcd.gauge.plaquette(U)))
        g.message(number, *rows[-1])
        if folder is not None and number % write == 0:
            g.save(str(Path(folder) / f"ckpoint_lat.{number}"), U, g.format.nersc())
    if update.unsolved > MANY * (thermalise + trajectories):
        g.message(f"warning: {update.unsolved} trajectories were rejected because a solver gave up")
    return rows, update.usage()


def main():
    """Run what the command line asks for; GPT reads its own options."""
    g = gpt.library()
    rows, usage = stream(
        g, [int(n) for n in g.default.get("--grid", "8.8.8.8").split(".")],
        g.default.get_float("--beta", 6.0), g.default.get_float("--kappa", 0.15),
        g.default.get_float("--mu", 0.0), g.default.get_int("--n", 100),
        g.default.get("--gauge", "ours"), g.default.get_int("--outer", 6),
        g.default.get("--levels", None), g.default.get("--seed", "quarks"),
        g.default.get_int("--ntherm", 50), g.default.get("--folder", "."),
        g.default.get_int("--nwrite", 10), length=g.default.get_float("--length", None),
    )
    weight = sum(math.exp(-delta) for _, delta, _ in rows) / len(rows)
    g.message(f"acceptance {sum(one[0] for one in rows) / len(rows):.2f}, <exp(-dH)> {weight:.4f}")
    g.message(f"cost by level: {usage}")


if __name__ == "__main__":
    main()
