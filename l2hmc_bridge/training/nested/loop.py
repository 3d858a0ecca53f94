"""Training of nested steps: Gauss-Newton by differences on the energy error at fixed MD time.

Free are the steps of every level, kicks, drifts and displacements, each level of fixed length and
the same backwards, and those of the inner step if asked for. Links come in equilibrium of the whole
action and move by the step itself between samples. Every sample begins with all steps scaled to the
acceptance asked for: what is best there is not what is best for small steps.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling.draws import trajectory_generator
from l2hmc_bridge.sampling.hmc import HMC, thermalise
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host, check_terms
from l2hmc_bridge.systems.actions import cold_start, gauge_action
from l2hmc_bridge.training import gauss_newton, levenberg
from l2hmc_bridge.training.nested.config import NestedConfig
from l2hmc_bridge.training.nested.host import start
from l2hmc_bridge.training.nested.sample import Sample, accepted, softened, worth
from l2hmc_bridge.training.nested.shape import plan_of, values_of

# Random numbers: chains of trajectory_generator that stand for a purpose.
START, MOVE, CHECK, VALIDATION = 900, 901, 902, 903
SCALINGS = 4  # batches of trajectories, at most, to find the acceptance asked for


@dataclass(frozen=True)
class Row:
    """One iteration."""

    iteration: int
    rms_log_ratio: float  # of `softened` r
    acceptance: float
    improved: bool
    seconds: float


@dataclass
class Run:
    """A training run: the kernel as it is now, its chains and the sample in use."""

    config: NestedConfig
    host: Host
    kernel: Nested
    links: Tensor
    sample: Sample | None = None
    damping: float = levenberg.DAMPING
    rows: list[Row] = field(default_factory=list)

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return len(self.rows)


def begin(config: NestedConfig, host: Host, links: Tensor | None = None) -> Run:
    """A run at its start, `links` in equilibrium or thermalised; the terms are checked there."""
    kernel = start(config, host)
    if links is None:
        links = thermalised(config, kernel)
    if links.shape[2:6] != torch.Size(config.extents):
        found = ",".join(str(links.shape[n]) for n in (3, 4, 5, 2))
        raise ConfigError(f"lattice: expected links on {config.lattice}, found {found}")
    check_terms(host.terms, links, _generator(config, CHECK, 0))
    return Run(config, host, kernel, links)


def thermalised(config: NestedConfig, kernel: Nested) -> Tensor:
    """Chains from the unit field: by HMC of the gauge action first, then by the nested step."""
    links = cold_start(config.extents, config.chains)
    gauge = HMC(gauge_action(config.action, config.beta), 1 / 8, 8, "omf2")
    links = thermalise(gauge, links, config.thermalisation,
                       lambda n: _generator(config, START, n))
    return thermalise(kernel, links, config.thermalisation,
                      lambda n: _generator(config, START, 2048 + n))


@torch.no_grad()
def iterate(run: Run) -> Row:
    """One iteration: derivatives by one batch of trajectories for each number, and a step."""
    clock, config = time.perf_counter(), run.config
    sample = run.sample
    if sample is None or run.iteration % config.resample == 0:
        sample = _next_sample(run)
    before = values(run.kernel, config)
    fit = levenberg.iterate(
        lambda one: softened(sample.residuals(assembled(run.kernel, config, one))), before,
        run.damping, levenberg.ahead)
    run.kernel, run.damping = assembled(run.kernel, config, fit.values), fit.damping
    row = Row(run.iteration, math.sqrt(fit.loss), _acceptance(fit.residuals), fit.improved,
              time.perf_counter() - clock)
    run.rows.append(row)
    return row


def train(run: Run, report: Callable[[Row], None],
          stopping: Callable[[], bool] = lambda: False) -> bool:
    """Iterate to the end; False if `stopping` asked to stop before it."""
    while run.iteration < run.config.iterations:
        if stopping():
            return False
        report(iterate(run))
    return True


def values(kernel: Nested, config: NestedConfig) -> Tensor:
    """The free numbers of every level that is trained, and of the inner step."""
    parts = [values_of(level.plan, one.ends)
             for level, one in zip(kernel.levels, config.levels, strict=True) if one.train]
    parts += [parameter[n:n + 1].detach().to(torch.float64)
              for parameter, n in _of_inner(kernel, config)]
    return torch.cat(parts).clone()


def assembled(kernel: Nested, config: NestedConfig, numbers: Tensor) -> Nested:
    """The kernel with these numbers in place of its own."""
    levels, at = [], 0
    for level, one in zip(kernel.levels, config.levels, strict=True):
        if one.train:
            count = len(values_of(level.plan, one.ends))
            level = replace(level, plan=plan_of(numbers[at:at + count], level.plan, one.ends))
            at += count
        levels.append(level)
    for (parameter, n), value in zip(_of_inner(kernel, config), numbers[at:], strict=True):
        parameter[n] = value
    return replace(kernel, levels=tuple(levels))


def _of_inner(kernel: Nested, config: NestedConfig) -> list[tuple[Tensor, int]]:
    """(parameter, index) of what is trained of the inner step."""
    if not config.inner.train or not isinstance(kernel.inner, L2HMC):
        return []
    return gauss_newton.free_parameters(kernel.inner)


def moved(run: Run, links: Tensor, purpose: int, trajectories: int) -> Tensor:
    """Links after so many trajectories of the present step."""
    state = run.kernel.init(links)
    for number in range(trajectories):
        state, _ = run.kernel.step(state, _generator(run.config, purpose,
                                                     run.iteration * 64 + number))
    return state.links


def seeds(config: NestedConfig, purpose: int, first: int, count: int) -> tuple[int, ...]:
    """Seeds of a sample's draws."""
    return tuple(_generator(config, purpose, first + n).initial_seed() for n in range(count))


def _next_sample(run: Run) -> Sample:
    """Chains move on (not before the first sample), noise and momenta are new, and the steps are
    scaled to the acceptance asked for.
    """
    if run.sample is not None:
        run.links = moved(run, run.links, MOVE, 1)
    first = 2**20 + run.iteration * 64
    run.sample = Sample(run.links, seeds(run.config, MOVE, first, run.config.draws))
    run.damping = levenberg.DAMPING
    if run.config.acceptance:
        found = worth(run.kernel, [run.sample], tries=SCALINGS, acceptance=run.config.acceptance)
        run.kernel = run.kernel.scaled(found.scale)
    return run.sample


def _acceptance(residuals: Tensor) -> float:
    """The acceptance of `softened` r: |r| = sqrt((1 + s^2 / 2)^2 - 1)."""
    return float(accepted(((1 + residuals.square() / 2).square() - 1).sqrt()).mean())


def _generator(config: NestedConfig, purpose: int, number: int) -> torch.Generator:
    return trajectory_generator(config.seed, purpose, number)
