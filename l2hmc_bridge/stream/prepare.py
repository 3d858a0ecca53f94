"""Before the first recorded trajectory: thermalise, tune on a copy, prove. The state comes along.

Action and force of a field are computed where the field is made and handed on from there.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.layout import volume
from l2hmc_bridge.gate import rows as gate
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import markov, tuning
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.markov import Proposer, State
from l2hmc_bridge.stream import summary, trajectories
from l2hmc_bridge.stream.progress import Deadline, Progress
from l2hmc_bridge.systems.actions import GaugeAction


class Run(NamedTuple):
    """What all phases share: the seed, who listens, and when to end."""

    seed: int
    progress: Progress
    deadline: Deadline


class Tuned(NamedTuple):
    """The factor on all steps, and the kernel scaled by it."""

    factor: float
    kernel: Proposer


def thermalised(kernel: Proposer, state: State, count: int, run: Run) -> State:
    """The state after `count` trajectories accepted unless far off, links projected to SU(3)."""
    if not count:
        return state
    found = _phase("thermalise", kernel, state, count, run, trajectories.THERMALISATION)
    return markov.state_at(kernel, su3.project_group(found.links))


def tuned(kernel: Proposer, state: State, count: int, run: Run) -> Tuned:
    """The kernel scaled towards 80 % acceptance, found on a copy in `count` trajectories."""
    if not count:
        return Tuned(1.0, kernel)
    found = _phase("tune", kernel, state, count, run, trajectories.TUNING)
    scaled = kernel.scaled(found.factor)
    run.progress.say(f"tuned on a copy: all steps times {found.factor:.4g}, MD length "
                     f"{scaled.length:.4g}")
    return Tuned(found.factor, scaled)


def proofs(
    kernel: Proposer, action: GaugeAction, state: State, seed: int, plaquette: float | None,
    source: str,
) -> list[Check]:
    """Group, inverse and action of the tuned kernel at the first chain.

    plaquette: what the reader of `source` measured on the links of `state`, if it is theirs.
    """
    force = None if state.force is None else state.force[:1]
    first = State(state.links[:1], state.action[:1], force)
    generator = trajectories.reserved(seed, 1, trajectories.GATE)
    if isinstance(kernel, L2HMC):
        checks = gate.quick(kernel, first.links, generator[0], first)
    else:
        defect = trajectories.reversibility_defect(kernel, first, generator)
        momenta = markov.draw_momenta(first.links, generator)
        checks = [Check("inverse: U forth and back", defect, 0, summary.REVERSIBILITY_BOUND,
                        "exact law"), gate.moves(kernel, first.links, momenta, first)]
    if plaquette is not None and action.c1 == 0 and action.beta:
        ours = float(first.action) / (-6 * action.beta * volume(first.links))
        checks.append(Check("action / (-6 beta V) against the plaquette read", ours, plaquette,
                            1e-6, source))
    return checks


def require(checks: Sequence[Check], source: str, ungated: bool) -> list[str]:
    """A sentence for each check that failed. Raises BundleError with the first unless `ungated`."""
    sentences = [f"{source}: {check.name}: expected {check.theirs:.6g} within "
                 f"{check.tolerance:g}, found {check.ours:.6g}"
                 for check in checks if not check.passed]
    if sentences and not ungated:
        raise BundleError(f"{sentences[0]} (--ungated records a stream all the same)")
    return sentences


def _phase(
    name: str, kernel: Proposer, state: State, count: int, run: Run, purpose: int
) -> tuning.Tuning:
    """Trajectories that are not recorded; StreamError when stopped among them."""
    run.deadline.restart()
    reason: list[str] = []
    with run.progress.phase(name, count) as shown:

        def report(_number: int, factor: float, delta: Sequence[float]) -> bool:
            shown.tried(factor, delta)
            reason.extend(filter(None, [run.deadline.why()]))
            return bool(reason)

        found = tuning.tune(kernel, state, count, _generators(run.seed, state, purpose), report)
    if reason:
        raise StreamError(f"stopped {reason[0]} before the first recorded trajectory: there is "
                          "nothing to resume")
    return found


def _generators(seed: int, state: State, purpose: int) -> Callable[[int], Generators]:
    chains = len(state.links)
    return lambda number: trajectories.reserved(seed, chains, purpose, number)
