"""Hybrid Monte Carlo: the baseline every claim is held against."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.reference import leapfrogs
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.integrators import Schedule, force_evaluations, schedule
from l2hmc_bridge.sampling.markov import Info, Proposer, State, Trajectory
from l2hmc_bridge.systems.actions import Action, GaugeAction
from l2hmc_bridge.systems.checks import check_field
from l2hmc_bridge.systems.coefficients import real
from l2hmc_bridge.systems.groups import group_of

LEAST = 8.0  # dH that a thermalisation takes of any system


@dataclass(frozen=True)
class HMC:
    """HMC with `steps` steps of size `step_size` of one of integrators.INTEGRATORS.

    Kick P' = P - h F, drift U' = exp(h P) U (U(1): x' = x + h v); exact for any step size, a
    negative one goes backwards. Raises ConfigError for a size that is 0 or no finite number, and
    for a number of steps that is not whole or below 1.
    """

    action: Action
    step_size: float
    steps: int
    integrator: str = "omf2"

    def __post_init__(self) -> None:
        size, steps = self.step_size, self.steps
        if not 0 < abs(real(size)) < math.inf:
            raise ConfigError(f"step_size: expected a finite number other than 0, found {size!r}")
        object.__setattr__(self, "step_size", real(size))  # in double precision
        if not isinstance(steps, Integral) or steps < 1:
            raise ConfigError(f"steps: expected a whole number of at least 1, found {steps!r}")

    @property
    def plan(self) -> Schedule:
        """The kicks and drifts of one trajectory."""
        return schedule(self.integrator, self.step_size, self.steps)

    @property
    def length(self) -> float:
        """MD time of one trajectory."""
        return self.step_size * self.steps

    @property
    def name(self) -> str:
        """What its updates are called."""
        return "hmc"

    @property
    def guide(self) -> Action:
        """The action whose force State carries."""
        return self.action

    def check(self, links: Tensor) -> None:
        """Any lattice will do."""

    def scaled(self, factor: float) -> "HMC":
        """The same with every step multiplied by `factor`."""
        return HMC(self.action, self.step_size * factor, self.steps, self.integrator)

    def init(self, links: Tensor) -> State:
        """State at `links`: action and force, each computed once; BridgeError for no field.

        S of a noisy action is NaN until a step draws the noise.
        """
        check_field(links, self.action)
        return markov.state_at(self, links, drawn=False)

    @property
    def involutive(self) -> bool:
        """Whether a trajectory with its end's momenta reversed is its own inverse."""
        return True

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """Leave `state` with `momenta` and integrate for `length`."""
        return integrate(self.action, state, momenta, self.plan)

    def there_and_back(self, state: State, momenta: Tensor, generator: Generators) -> Tensor:
        """The links after a trajectory and its inverse, those of `state` but for rounding."""
        return markov.there_and_back(self, state, momenta, generator)

    def refreshed(self, state: State, generator: Generators) -> State:
        """The state after the action redrew its noise, if it has any."""
        return markov.refreshed(self, state, generator)

    def moved(self, state: State, momenta: Tensor, generator: Generators) -> tuple[State, Info]:
        """Where a trajectory takes (state, momenta), and its dH."""
        return markov.moved(self, state, momenta, generator)

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact Markov step; BridgeError if `state` holds no field."""
        check_field(state.links, self.action)
        return markov.step(self, state, generator)

    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """(links', dH, Info) for a host that accepts and rejects itself; BridgeError as `init`."""
        check_field(links, self.action)
        return markov.propose_links(self, links, generator)


def integrate(action: Action, state: State, momenta: Tensor, plan: Schedule) -> Trajectory:
    """Kick, drift, kick, ...: one force per distinct field, the first one comes with `state`."""
    force = action.force(state.links) if state.force is None else state.force
    if type(action) is GaugeAction:
        end = fast.trajectory(state.links, momenta, force, action.beta, action.c1, *plan)
    else:
        drift = group_of(action).drift
        end = fast.Ends(*leapfrogs(action.force, drift, state.links, momenta, force, *plan))
    zero = momenta.new_zeros(len(momenta)).real
    return Trajectory(end.links, end.momenta, zero, end.force, force_evaluations(plan),
                      action=end.action, delta_kinetic=end.delta_kinetic)


def energy_spread(links: Tensor, action: Action) -> float:
    """Standard deviation of H under a refresh of n momenta, sqrt(n / 2), or LEAST of a few of them.
    """
    return max(math.sqrt(group_of(action).momenta(links) / 2), LEAST)


def relaxed(kernel: Proposer, state: State, chance: Generators, bound: float
            ) -> tuple[State, Tensor, Tensor]:
    """(the state after a proposal, dH, whether it was taken: dH is finite and below `bound`), [Nb].

    Not exact: for starts, and for copies that nobody keeps.
    """
    state = kernel.refreshed(state, chance)
    proposal, info = markov.propose(kernel, state, chance)
    delta = -info.log_ratio
    ratio = torch.where(delta.isfinite() & (delta < bound), 0.0, -math.inf)
    state, taken = markov.metropolis(state, proposal, ratio, torch.zeros_like(ratio))
    return state, delta, taken


@torch.no_grad()
def thermalise(
    kernel: Proposer, links: Tensor, trajectories: int, generator: Callable[[int], Generators]
) -> Tensor:
    """`trajectories` updates from any start, links projected at the end; for a start only.

    The first half takes every proposal whose dH is below `energy_spread`: far from equilibrium dH
    is large and positive for any step size, and a cold start would be rejected for ever. One far
    above comes of steps that are not stable, and links that they lead to may never come back: it is
    left, and all steps are halved from there on. The second half is exact.
    """
    state, bound = kernel.init(links), energy_spread(links, kernel.action)
    for n in range(trajectories):
        chance = generator(n)
        if n >= trajectories // 2:
            state, _ = kernel.step(state, chance)
            continue
        state, _, taken = relaxed(kernel, state, chance, bound)
        if not taken.all():
            kernel = kernel.scaled(0.5)
    return group_of(kernel.action).project(state.links)
