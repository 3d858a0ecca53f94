"""Before the first recorded trajectory: thermalise, tune on a copy, prove. The state comes along.

Action and force of a field are computed where the field is made and handed on from there.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.fields import part, su3
from l2hmc_bridge.fields.layout import volume
from l2hmc_bridge.gate import rows as gate
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.recorded import randomness
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.recorded.randomness import PHILOX
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling import markov, tuning
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.heatbath import HeatBath, serves
from l2hmc_bridge.sampling.markov import Proposer, State
from l2hmc_bridge.stream import summary, trajectories
from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.options import UpdateOptions
from l2hmc_bridge.stream.progress import Progress
from l2hmc_bridge.systems.actions import GaugeAction

HEAT_BATH_UPDATES = 50  # of the thermalisation of a cold or hot start
REFLECTION_BOUND, GROUP_BOUND = 1e-12, 1e-12


class Run(NamedTuple):
    """What all phases share: the seed, who listens, when to end, and whose chains these are."""

    seed: int
    progress: Progress
    deadline: Deadline
    chains: Chains = ALL


class Tuned(NamedTuple):
    """The factor on all steps, the kernel scaled by it, and what it took."""

    factor: float
    kernel: StreamKernel
    trajectories: int


class Thermalised(NamedTuple):
    """The state that a stream begins with, and how it came about."""

    state: State
    updates: int
    by: str | None  # "heatbath", or the name of the stream's own kernel


def thermalised(
    kernel: StreamKernel, action: GaugeAction, state: State, count: int | None, run: Run
) -> Thermalised:
    """The state after `count` updates (None: as many as a cold or hot start needs), in SU(3).

    By the heat bath if it samples the action; else trajectories of the kernel, accepted unless
    far off.
    """
    bath = isinstance(kernel, HeatBath) or serves(action, state.links)
    if count is None:
        count = HEAT_BATH_UPDATES if bath else tuning.TRAJECTORIES
    if not count:
        return Thermalised(state, 0, None)
    if isinstance(kernel, HeatBath) or bath:
        links = _heated(HeatBath(action), state, count, run)
        return Thermalised(markov.state_at(kernel, links), count, "heatbath")
    found = _phase("thermalise", kernel, state, count, run, randomness.THERMALISATION)
    links = su3.project_group(found.links)
    return Thermalised(markov.state_at(kernel, links), count, kernel.name)


def tuned(kernel: StreamKernel, state: State, options: UpdateOptions, run: Run) -> Tuned:
    """The kernel scaled towards the acceptance aimed at, on a copy, or to the MD length asked for.
    """
    if isinstance(kernel, HeatBath):
        return Tuned(1.0, kernel, 0)
    if options.md_length is not None:
        factor = options.md_length / float(kernel.length)
        run.progress.say(f"MD length {options.md_length:g}: all steps times {factor:.4g}")
        return Tuned(factor, kernel.scaled(factor), 0)
    if not options.tune:
        return Tuned(1.0, kernel, 0)
    found = _phase("tune", kernel, state, options.tune, run, randomness.TUNING,
                   options.target_acceptance)
    scaled = kernel.scaled(found.factor)
    run.progress.say(f"tuned on a copy: all steps times {found.factor:.4g}, MD length "
                     f"{scaled.length:.4g}")
    return Tuned(found.factor, scaled, options.tune)


@torch.no_grad()
def proofs(
    kernel: StreamKernel, action: GaugeAction, state: State, seed: int, plaquette: float | None,
    source: str, numbers: str = PHILOX, chains: Chains = ALL,
) -> list[Check]:
    """Group, inverse and action of the tuned kernel at the first chain, with the stream's numbers.

    plaquette: what the reader of `source` measured on the links of `state`, if it is theirs.
    """
    return chains.of_first(
        lambda: _proofs(kernel, action, state, seed, plaquette, source, numbers))


def _proofs(
    kernel: StreamKernel, action: GaugeAction, state: State, seed: int, plaquette: float | None,
    source: str, numbers: str,
) -> list[Check]:
    """Those of whoever has the first chain."""
    force = None if state.force is None else state.force[:1]
    first = State(state.links[:1], state.action[:1], force)
    generator = randomness.reserved(numbers, seed, 1, randomness.GATE)
    if isinstance(kernel, HeatBath):
        checks = heat_bath_laws(kernel, first, generator)
    elif isinstance(kernel, L2HMC):
        checks = gate.quick(kernel, first.links, generator, first)
    else:
        defect = trajectories.reversibility_defect(kernel, first, generator)
        momenta = markov.draw_momenta(first.links, generator)
        checks = [Check("inverse: U forth and back", defect, 0, summary.REVERSIBILITY_BOUND,
                        "exact law"), gate.moves(kernel, first.links, momenta, first)]
    if plaquette is not None and action.c1 == 0 and action.beta:
        ours = float(first.action) / (-6 * action.beta * volume(first.links))
        checks.append(Check("action / (-6 beta V) against the plaquette read", ours, plaquette,
                            1e-6, source))
    held = part.of(first.links)
    if held is None:
        return checks
    worst = held.network.largest(torch.tensor([check.ours for check in checks]).double())
    return [check._replace(ours=ours) for check, ours in zip(checks, worst.tolist(), strict=True)]


def heat_bath_laws(kernel: HeatBath, state: State, generator: Generators) -> list[Check]:
    """Reflections keep every sum of plaquettes that they should, an update stays in SU(3)."""
    words = torch.zeros(len(state.links), 4, dtype=torch.int64)
    reflected = fast.heat_bath(state.links, kernel.action.beta, words, 0, 1)
    change = fast.plaquettes(reflected).mean(1) - fast.plaquettes(state.links).mean(1)
    moved, _ = kernel.update(state, generator)
    return [
        Check("plaquette: change by a sweep of reflections", float(change.abs().max()), 0,
              REFLECTION_BOUND, "exact law"),
        Check("group: max|U U^+ - 1| after an update",
              float(su3.unitarity_defect(moved.links).max()), 0, GROUP_BOUND, "exact law"),
    ]


def require(checks: Sequence[Check], source: str, ungated: bool) -> list[str]:
    """A sentence for each check that failed. Raises BundleError with the first unless `ungated`."""
    sentences = [f"{source}: {check.name}: expected {check.theirs:.6g} within "
                 f"{check.tolerance:g}, found {check.ours:.6g}"
                 for check in checks if not check.passed]
    if sentences and not ungated:
        raise BundleError(f"{sentences[0]} (--ungated records a stream all the same)")
    return sentences


def _heated(bath: HeatBath, state: State, count: int, run: Run) -> Tensor:
    """Links after `count` updates of the heat bath; StreamError when stopped among them."""
    run.deadline.restart()
    generators = _generators(run, state, randomness.THERMALISATION)
    state = markov.state_at(bath, state.links)
    with run.progress.phase("thermalise", count) as shown:
        for number in range(1, count + 1):
            state, _ = bath.update(state, generators(number))
            shown.thermalised(run.chains.every(fast.plaquettes(state.links).mean(1).tolist()))
            _require_time(run.deadline.why())
    return state.links


def _require_time(reason: str | None) -> None:
    if reason is not None:
        raise StreamError(f"stopped {reason} before the first recorded trajectory: there is "
                          "nothing to resume")


def _phase(
    name: str, kernel: Proposer, state: State, count: int, run: Run, purpose: int,
    aim: float = tuning.AIM
) -> tuning.Tuning:
    """Trajectories that are not recorded; StreamError when stopped among them."""
    run.deadline.restart()
    reason: list[str] = []
    with run.progress.phase(name, count) as shown:

        def report(_number: int, factor: float, delta: Sequence[float]) -> bool:
            shown.tried(factor, delta)
            reason.extend(filter(None, [run.deadline.why()]))
            return bool(reason)

        found = tuning.tune(kernel, state, count, _generators(run, state, purpose), report,
                            aim, run.chains.every)
    _require_time(reason[0] if reason else None)
    return found


def _generators(run: Run, state: State, purpose: int) -> Callable[[int], Generators]:
    count = len(run.chains.every([None] * len(state.links)))
    return lambda number: randomness.reserved(PHILOX, run.seed, count, purpose, number, run.chains)
