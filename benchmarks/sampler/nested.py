"""Nested steps around the quarks of examples/two_flavour: what a host's force buys.

    python -m benchmarks.sampler.nested --case light48 --work FOLDER    # hours; goes on if stopped
    python -m benchmarks.sampler.nested_table FOLDER                    # results/nested.json, .md

For each case (lattice, beta, quark mass), every part kept in FOLDER as soon as it is there:
1. links in equilibrium of the whole action, and others some trajectories later for validation;
2. scan: leapfrog, OMF2, OMF4, force gradient with several numbers of steps, and several
   coarser gauge parts for the best: MD time per host force at 80 % acceptance
   (`training.nested.sample.worth`) on the links for validation;
3. training from several starts (of 8^4 on the heavier quarks, from the step of the first case), by
   Gauss-Newton on the other links, and the same number; that of the step trained in the first case
   as it is, all steps scaled;
4. streams with untrained and trained schemes, long and short: tau_int of plaquette and E(t=1) times
   host forces, and their squared jumps, known long before. The force after a new draw counts.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.sampler.nested_cases import CASES, STARTS, Case
from benchmarks.sampler.nested_rows import Kept, at_scale, best, told
from examples.two_flavour.host import two_flavour
from l2hmc_bridge import fast
from l2hmc_bridge.analysis.statistics import estimate
from l2hmc_bridge.observables import flow
from l2hmc_bridge.observables.standard import energy_density, plaquette
from l2hmc_bridge.sampling.draws import trajectory_generator
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.sampling.integrators import Schedule, schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.systems.actions import GaugeAction, cold_start
from l2hmc_bridge.training import levenberg
from l2hmc_bridge.training.nested.sample import Sample, Worth, iterations, softened, worth
from l2hmc_bridge.training.nested.shape import plan_of, values_of

TRANSFERRED = ("heavy48", "trained leapfrog 16")
OTHERS = ("scan omf2 4", "scan omf2 12")  # streams beside the best ones
INNER = ("omf4 2", "omf4 1", "omf2 1", "leapfrog 1")  # steps of the gauge part in each drift
LONGEST = 0.4  # MD time of one gauge trajectory: longer drifts have several
TOLERANCE, APART = 1e-8, 4  # of the solver; trajectories between links to train and to validate
TRAINED_ON, RESAMPLE, TRIES, LEAST = 2, 4, 4, 12  # draws on every configuration to train on; ...
TRAINING, VALIDATION, START, STREAM = 900, 901, 902, 903  # chains of the random numbers


def nested(case: Case, host: Host, plan: Schedule, inner: str = INNER[0]) -> Nested:
    """A level of all quarks with this plan around the gauge part."""
    repeats = tuple(max(1, math.ceil(abs(drift) / LONGEST - 1e-9)) for drift in plan.drifts)
    integrator, steps = inner.split()
    gauge = HMC(GaugeAction(case.beta), 1 / int(steps), int(steps), integrator)
    return Nested(gauge, (Level("quarks", host.terms, plan, repeats),))


def equilibrium(case: Case, host: Host, path: Path, trajectories: int = 24) -> Tensor:
    """[2, chains, ...]: links of the case for training and for validation, made once.

    They begin at those of the case `after`, which lie beside `path`, or of the gauge action alone.
    """
    if path.exists():
        return torch.load(path, weights_only=True)
    chance = [torch.Generator().manual_seed(17)]
    if case.after:
        links = torch.load(path.with_name(f"{case.after}.pt"), weights_only=True)[1]
    else:
        gauge = HMC(GaugeAction(case.beta), 1 / 8, 8)
        links = thermalise(gauge, cold_start(case.lattice, case.chains), 30, lambda n: chance[0])
    steps = max(4, round(0.5 / case.spacing))
    kernel = nested(case, host, schedule("omf2", 1 / steps, steps))
    links = thermalise(kernel, links, trajectories, lambda n: chance[0])
    state = kernel.init(links)
    for _ in range(APART):
        state, _ = kernel.step(state, chance[0])
    both = torch.stack([links, state.links])
    torch.save(both, path)
    return both


def samples(links: Tensor, purpose: int, first: int, draws: int) -> list[Sample]:
    """Points on these links whose noise and momenta belong to a purpose."""
    seeds = tuple(trajectory_generator(1, purpose, first + n).initial_seed() for n in range(draws))
    return [Sample(links, seeds)]


def plan_for(case: Case, name: str, steps: int) -> Schedule:
    """`steps` steps of an integrator, at about the spacing of forces where it may accept 80 %."""
    drifts = len(schedule(name, 1.0, 1).drifts)
    return schedule(name, case.spacing * drifts * (0.8 if name != "omf2" else 1.0), steps)


def measured(case: Case, host: Host, links: Tensor, plan: Schedule, inner: str = INNER[0]
             ) -> Worth:
    """MD time per host force of a plan, on the points of validation."""
    return worth(nested(case, host, plan, inner), samples(links, VALIDATION, 0, case.draws),
                 tries=TRIES)


def trained(case: Case, host: Host, links: Tensor, plan: Schedule, ends: int,
            say: Callable[[str], None]) -> Schedule:
    """The plan after Gauss-Newton on noise and momenta of its own, at 80 % acceptance."""
    damping, sample = levenberg.DAMPING, None
    for number in range(case.iterations):
        if number % RESAMPLE == 0:
            sample, = samples(links, TRAINING, 64 * number, TRAINED_ON)
            found = worth(nested(case, host, plan), [sample], tries=TRIES)
            plan, damping = plan.scaled(found.scale), levenberg.DAMPING
            say(f"MD time per force {found.value:.4f}, all steps times {found.scale:.3f}")

        def residuals(numbers: Tensor, sample: Sample = sample, like: Schedule = plan) -> Tensor:
            return softened(sample.residuals(nested(case, host, plan_of(numbers, like, ends))))

        fit = levenberg.iterate(residuals, values_of(plan, ends), damping, levenberg.ahead)
        plan, damping = plan_of(fit.values, plan, ends), fit.damping
        say(f"iteration {number}: rms dH {fit.loss**0.5:.3f}")
    return plan


def streamed(case: Case, host: Host, links: Tensor, plan: Schedule, seconds: float
             ) -> dict[str, Any]:
    """tau_int of plaquette and E(t=1) in host forces, from so many processor seconds."""
    kernel = nested(case, host, plan)
    state, rows, begin, infos = kernel.init(links), [], time.process_time(), []
    while time.process_time() - begin < seconds or len(rows) < LEAST:
        chance = [trajectory_generator(STREAM, chain, len(rows)) for chain in range(case.chains)]
        state, info = kernel.step(state, chance)
        (_, smooth), = flow.integrate(state.links, [1.0], 0.1)
        rows.append(torch.stack([plaquette(state.links), energy_density(smooth),
                                 info.accepted.double()]))
        infos.append(info)
    series = torch.stack(rows).permute(1, 2, 0).numpy()
    forces = infos[0].levels[0].forces
    found = {name: estimate(series[n]).as_dict() for n, name in enumerate(("plaquette", "e1"))}
    return {"acceptance": float(series[2].mean()), "trajectories": len(rows) * case.chains,
            "forces": forces, "length": kernel.length, "iterations": iterations(infos), **found,
            **{f"{name}_tau_forces": _times(found[name], forces) for name in found},
            **{f"{name}_jump": _jump(series[n], forces) for n, name in enumerate(found)}}


def _jump(series: NDArray[np.float64], forces: int) -> list[float]:
    """[mean squared jump from one trajectory to the next per force, error] of [chains, n]."""
    each = (np.diff(series) ** 2).mean(1) / forces
    return [float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)]


def _times(one: dict[str, Any], forces: int) -> list[float | None]:
    """[tau_int, error] times forces; None if it is not resolved."""
    return [None if one[key] is None else one[key] * forces for key in ("tau_int", "tau_int_error")]


class Study(NamedTuple):
    """One case, its links to train on and to measure on, and what is known."""

    case: Case
    host: Host
    learning: Tensor
    links: Tensor
    kept: Kept

    def scan(self) -> str:
        """Measure all untrained schemes; the name of the best."""
        for name, steps in self.case.scan:
            self.kept.get(f"scan {name} {steps}", lambda n=name, s=steps: self.untrained(n, s))
        found = self.best("scan")
        _, name, steps = found.split()[:3]
        for inner in INNER[1:] if self.case.inside else ():
            self.kept.get(f"{name} {steps} around {inner}",
                          lambda i=inner: self.untrained(name, int(steps), i))
        return found

    def learn(self, elsewhere: dict[str, Any] | None) -> str:
        """Train from every start, and measure a row of another case; the name of the best."""
        onward = None
        if elsewhere is not None:
            first, row = TRANSFERRED
            plan = at_scale(elsewhere).scaled(self.case.spacing / CASES[first].spacing)
            self.kept.get(f"{row} of {first}", lambda: self.told(plan))
            onward = plan if self.case.onward else None
        for name, steps, ends in self.case.starts:
            start = plan_for(self.case, name, steps) if onward is None else onward
            self.kept.get(f"trained {name} {steps}",
                          lambda n=name, s=steps, e=ends, p=start: self.trained(n, s, e, p))
        return self.best("trained")

    def untrained(self, name: str, steps: int, inner: str = INNER[0]) -> dict[str, Any]:
        """What an integrator is worth."""
        return self.told(plan_for(self.case, name, steps), inner)

    def trained(self, name: str, steps: int, ends: int, start: Schedule) -> dict[str, Any]:
        """What it is worth after training."""
        return self.told(trained(self.case, self.host, self.learning, start, ends,
                                 lambda text: print(f"  {name} {steps} {text}", flush=True)))

    def told(self, plan: Schedule, inner: str = INNER[0]) -> dict[str, Any]:
        """A plan, and what it is worth."""
        return told(measured(self.case, self.host, self.links, plan, inner), plan)

    def best(self, start: str) -> str:
        """The row of the largest value whose name begins so."""
        found = best(self.kept.rows, start)
        assert found is not None
        return found


def main(arguments: list[str] | None = None) -> None:
    """All parts of one case, or those that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1800, help="of a stream, per scheme")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    fast.keep_memory()
    case, (first, row) = CASES[given.case], TRANSFERRED
    host = two_flavour(case.lattice, case.kappa, case.twist, tolerance=TOLERANCE)
    kept = Kept(given.work / f"{given.case}.json")
    study = Study(case, host, *equilibrium(case, host, given.work / f"{given.case}.pt"), kept)
    untrained = study.scan()
    winner = study.learn(None if given.case == first else
                         Kept(given.work / f"{first}.json").rows[row])
    others = (*OTHERS, "trained {} {}".format(*STARTS[0]))
    for row in dict.fromkeys((untrained, winner, *(one for one in others if one in kept.rows))):
        kept.get(f"stream {row}", lambda r=row: streamed(case, host, study.links,
                                                         at_scale(kept.rows[r]), given.seconds))


if __name__ == "__main__":
    main()
