"""What a Markov kernel is, and the Metropolis step that most of them share."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from l2hmc_bridge.sampling.draws import (
    Generators,
    draw_momenta,
    draw_uniform,
    trajectory_generator as trajectory_generator,
)
from l2hmc_bridge.sampling.seen import Seen, selected
from l2hmc_bridge.systems.actions import Action, noisy
from l2hmc_bridge.systems.groups import group_of


class State(NamedTuple):
    """What the next step needs."""

    links: Tensor  # [Nb,4,Nt,Nx,Ny,Nz,3,3], or what the group of the action has instead
    action: Tensor  # [Nb], never computed twice for one field
    force: Tensor | None  # like links, at these links; of level 0 alone if there are levels
    level_actions: Tensor | None = None  # [Nb, 1 + levels] of a nested step, that of level 0 first
    level_forces: Tensor | None = None  # [Nb, levels, ...] like links, of levels >= 1
    seen: Seen | None = None  # what an engine would compute anew at these links


class LevelUse(NamedTuple):
    """What one level of host terms cost in one step."""

    name: str
    forces: int  # per chain, that after a refresh of the noise included
    solves: int  # of its solvers, for actions, forces and noise
    iterations: float  # of all these solves, mean over chains


class Info(NamedTuple):
    """What a person wants to see of one step."""

    accepted: Tensor  # [Nb] bool
    log_ratio: Tensor  # [Nb] log of the Metropolis ratio = -dH + log|J|; NaN stays visible here
    log_det: Tensor  # [Nb] log|J|, 0 for HMC
    delta_kinetic: Tensor  # [Nb]
    delta_action: Tensor  # [Nb]
    force_evaluations: int  # per chain, in this step; of level 0 if there are levels
    levels: tuple[LevelUse, ...] = ()  # of a nested step
    unsolved: Tensor | None = None  # [Nb] bool: rejected since a host's solver gave up

    @property
    def delta_h(self) -> Tensor:
        """dH = dK + dS, [Nb]."""
        return self.delta_kinetic + self.delta_action

    @property
    def delta_proposal(self) -> Tensor:
        """dK - log|J|, [Nb]: what a host adds to its own S(U') - S(U) before it accepts."""
        return self.delta_kinetic - self.log_det


class Trajectory(NamedTuple):
    """Where a deterministic map takes (links, momenta)."""

    links: Tensor
    momenta: Tensor
    log_det: Tensor  # [Nb]
    force: Tensor | None  # at the new links, if it was computed
    force_evaluations: int
    level_forces: Tensor | None = None  # as in State
    level_evaluations: tuple[int, ...] = ()  # forces of each level
    seen: Seen | None = None  # as in State
    action: Tensor | None = None  # [Nb] S of the guide at the new links, if it was computed
    delta_kinetic: Tensor | None = None  # [Nb] K' - K, likewise


class Kernel(Protocol):
    """An exact Markov step, and what streams, tuning and mixtures ask of one."""

    @property
    def action(self) -> Action:
        """What is sampled: e^{-action}."""

    @property
    def guide(self) -> Action | None:
        """The action whose force State carries: None if a kernel needs no force."""

    @property
    def name(self) -> str:
        """What its updates are called: "hmc", "l2hmc"."""

    @property
    def length(self) -> float:
        """MD time of one step."""

    def scaled(self, factor: float) -> "Kernel":
        """The same with every step size multiplied by `factor`."""

    def check(self, links: Tensor) -> None:
        """Raise LayoutError unless the kernel fits the lattice of `links`."""

    def init(self, links: Tensor) -> State:
        """State at `links`: action and force, each computed once."""

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact Markov step."""


class Proposes(Protocol):
    """A kernel that a host may ask for proposals."""

    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """(links', dH_effective, Info) for a host that accepts and rejects itself."""


class Proposer(Kernel, Proposes, Protocol):
    """A kernel whose step is a deterministic map of (links, momenta), then accept or reject."""

    @property
    def guide(self) -> Action:
        """The action whose force State carries; `action` itself unless a host decides."""

    def scaled(self, factor: float) -> "Proposer":
        """The same with every step size multiplied by `factor`."""

    @property
    def involutive(self) -> bool:
        """Whether a trajectory with its end's momenta reversed is its own inverse."""

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """The map, with log|J| and the force at its end."""

    def refreshed(self, state: State, generator: Generators) -> State:
        """The state after the action redrew its noise, if it has any."""

    def moved(self, state: State, momenta: Tensor, generator: Generators) -> tuple[State, Info]:
        """Where a trajectory takes (state, momenta), and its dH; `accepted` is not set yet."""

    def there_and_back(self, state: State, momenta: Tensor, generator: Generators) -> Tensor:
        """The links after a trajectory and its inverse, those of `state` but for rounding."""


def metropolis(
    state: State, proposal: State, log_ratio: Tensor, uniform: Tensor
) -> tuple[State, Tensor]:
    """Accept with probability min(1, e^log_ratio) per chain; NaN or +-infinity is a reject."""
    accepted = log_ratio.isfinite() & (uniform.to(log_ratio).log() < log_ratio.clamp(max=0))
    def known(new: Tensor | None, old: Tensor | None) -> Tensor | None:
        return None if new is None or old is None else _select(accepted, new, old)

    return State(_select(accepted, proposal.links, state.links),
                 _select(accepted, proposal.action, state.action),
                 known(proposal.force, state.force),
                 known(proposal.level_actions, state.level_actions),
                 known(proposal.level_forces, state.level_forces),
                 selected(accepted, proposal.seen, state.seen)), accepted


def state_at(kernel: Kernel, links: Tensor, drawn: bool = True) -> State:
    """S of the kernel's action and the force of its guide at `links`, which nobody looks at again.

    `Kernel.init` is the door for links that come from elsewhere: it checks them before. Unless the
    noise of a noisy action was `drawn`, S is NaN and no force known: a step draws it first.
    """
    if not drawn and noisy(kernel.action):
        return State(links, links.new_full((len(links),), torch.nan, dtype=torch.float64), None)
    force = None if kernel.guide is None else kernel.guide.force(links)
    return State(links, kernel.action(links), force)


def refreshed(kernel: Kernel, state: State, generator: Generators) -> State:
    """The state after the action redrew its noise: action and force are then computed anew.

    An action whose `refresh` returns False has none: the state stands.
    """
    return state_at(kernel, state.links) if kernel.action.refresh(state.links, generator) else state


def propose(kernel: Proposer, state: State, generator: Generators) -> tuple[State, Info]:
    """Momenta, the kernel's map, energies: the proposal as a State, Info with accepted unset.

    `state` must be `refreshed` if the action has noise of its own.
    """
    momenta = draw_momenta(state.links, generator, group_of(kernel.action))
    return kernel.moved(state, momenta, generator)


def moved(kernel: Proposer, state: State, momenta: Tensor, generator: Generators
          ) -> tuple[State, Info]:
    """Where the kernel's map takes (state, momenta), and its dH; `generator` as for `propose`."""
    kinetic = group_of(kernel.action).kinetic
    end = kernel.trajectory(state, momenta, generator)
    action = end.action if kernel.guide is kernel.action else None
    if action is None:
        action = kernel.action(end.links)
    delta_kinetic = end.delta_kinetic
    if delta_kinetic is None:
        delta_kinetic = kinetic(end.momenta) - kinetic(momenta)
    delta_action = action - state.action
    info = Info(
        accepted=torch.zeros_like(end.log_det, dtype=torch.bool),
        log_ratio=end.log_det - delta_kinetic - delta_action,
        log_det=end.log_det,
        delta_kinetic=delta_kinetic,
        delta_action=delta_action,
        force_evaluations=end.force_evaluations,
    )
    return State(end.links, action, end.force, seen=end.seen), info


@torch.no_grad()
def step(kernel: Proposer, state: State, generator: Generators) -> tuple[State, Info]:
    """One exact Markov step: propose, then accept or reject."""
    state = kernel.refreshed(state, generator)
    proposal, info = propose(kernel, state, generator)
    uniform = draw_uniform(state.links.shape[0], generator)
    new, accepted = metropolis(state, proposal, info.log_ratio, uniform)
    return new, info._replace(accepted=accepted)


@torch.no_grad()
def propose_links(kernel: Proposer, links: Tensor, generator: Generators
                  ) -> tuple[Tensor, Tensor, Info]:
    """(links', dH_effective, Info) with dH_effective = dK + dS - log|J| [Nb], for a host."""
    kernel.check(links)
    kernel.action.refresh(links, generator)
    proposal, info = propose(kernel, state_at(kernel, links), generator)
    return proposal.links, -info.log_ratio, info


def there_and_back(kernel: Proposer, state: State, momenta: Tensor, generator: Generators
                   ) -> Tensor:
    """The links after a trajectory, its momenta reversed, and the same trajectory again."""
    end = kernel.trajectory(state, momenta, generator)
    start = State(end.links, state.action, end.force)
    return kernel.trajectory(start, -end.momenta, generator).links


def run(
    kernel: Kernel, state: State, steps: int, generator: Generators
) -> Iterator[tuple[State, Info]]:
    """Yield (state, info) after each of `steps` steps."""
    for _ in range(steps):
        state, info = kernel.step(state, generator)
        yield state, info


def _select(accepted: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(accepted.view(-1, *[1] * (new.ndim - 1)), new, old)
