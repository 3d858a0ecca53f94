"""Nested steps for S = S_0 + S_1 + ... + S_L: cheap forces often, forces that cost a solve seldom.

    quarks = Level("quarks", (term,), schedule("omf2", 1 / 6, 6), repeats=2)
    kernel = Nested(HMC(GaugeAction(6.0), 0.5, 2), (quarks,))

Level l moves by kicks P -= h_k F_l and "drifts" that are `repeats` trajectories in a row of what is
inside, l - 1, of MD time e_k together (Sexton and Weingarten, NPB 380, 665); level 0 is any kernel
on our own action, networks included. A kick with a displacement g uses F_l(exp(-g F_l) U)
(Hessian-free force gradient, 1111.5059).

Exact for any S_l: every level is a palindrome of maps that are their own inverse after a flip of
the momenta, so the whole is one; kicks and flips have log|J| = 0, those of level 0 add up; forces
enter as functions of U alone, S_l in accept/reject only. Forces are computed once for each field:
S_l and F_l at the start come with State, a refresh of the noise voids those of levels >= 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.levels import Level, Total, require_levels
from l2hmc_bridge.sampling.markov import Info, LevelUse, Proposer, State, Trajectory
from l2hmc_bridge.sampling.terms import SolverReport, require_links
from l2hmc_bridge.systems.actions import Action, noisy
from l2hmc_bridge.systems.groups import group_of


@dataclass
class _Place:
    """Where a trajectory is, with the forces known there."""

    links: Tensor
    momenta: Tensor
    forces: list[Tensor | None]  # by level
    log_det: Tensor
    counts: list[int] = field(default_factory=list)  # forces, by level


@dataclass(frozen=True)
class Nested:
    """`inner` inside of `levels`, from the inside out; `scale` multiplies every step of all.

    Raises ConfigError for levels that do not go together (`require_levels`), steps of no finite
    length, or an inner step that does not fit.
    """

    inner: Proposer
    levels: tuple[Level, ...]
    scale: float = 1.0

    def __post_init__(self):
        require_levels(self.levels, self.inner.action.group)
        for what, length in (("a scale", self.scale), ("an inner step", self.inner.length)):
            if not math.isfinite(length) or length == 0:
                raise ConfigError(f"nested: expected {what} of finite length, found {length}")
        if not self.inner.involutive:
            raise ConfigError("nested: expected an inner step that is a palindrome, found one that "
                              "goes forth or back at random (composition \"direction\")")
        if noisy(self.inner.action):
            raise ConfigError("nested: expected noise in terms alone, found it in the inner action")
        if self.inner.guide is not self.inner.action:
            raise ConfigError("nested: expected an inner step on its own action, found a field "
                              "transformation or Hosted (L2HMC(HostAction(S, force)) takes both)")

    @property
    def action(self) -> Total:
        """S_0 + ... + S_L."""
        terms = tuple(term for level in self.levels for term in level.terms)
        return Total(self.inner.action, terms)

    @property
    def guide(self) -> Action:
        """The action whose force State carries for level 0."""
        return self.inner.action

    @property
    def name(self) -> str:
        """What its updates are called."""
        return "nested"

    @property
    def involutive(self) -> bool:
        """Whether a trajectory with its end's momenta reversed is its own inverse."""
        return True

    def check(self, links: Tensor) -> None:
        """LayoutError unless the inner step fits the lattice of `links`."""
        self.inner.check(links)

    @property
    def length(self) -> float:
        """MD time of one trajectory."""
        return self.scale * self.levels[-1].length

    def scaled(self, factor: float) -> "Nested":
        """The same with every step of every level multiplied by `factor`."""
        return replace(self, scale=self.scale * factor)

    def init(self, links: Tensor) -> State:
        """State at `links`; ActionError for links outside of SU(3) or with phases in them.

        S and F of level 0 alone if any other has noise, which is drawn when a step begins
        (`refreshed`): S of all is NaN until then.
        """
        require_links(links, self.inner.action.group)
        inner = self.inner.init(links)
        if any(level.noisy for level in self.levels):
            return inner._replace(action=torch.full_like(inner.action, torch.nan),
                                  level_actions=inner.action[:, None])
        return self.at(links)

    def at(self, links: Tensor) -> State:
        """State at `links` with S and F of every level for the noise drawn last."""
        return self._whole(self.inner.init(links), [level.force(links) for level in self.levels])

    def refreshed(self, state: State, generator: Generators) -> State:
        """The state after every term drew its noise anew: S and F of noisy levels are new ones.

        A step begins here: what solvers did before is no part of its costs.
        """
        for term in self.action.terms:
            term.report()
        known, drawn = state.level_forces, self.action.refresh(state.links, generator)
        if not drawn and known is not None:
            return state
        forces = [level.force(state.links) if level.noisy or known is None else known[:, number]
                  for number, level in enumerate(self.levels)]
        return self._whole(state._replace(action=_drawn(state.level_actions)[:, 0]), forces)

    def _whole(self, inner: State, forces: Sequence[Tensor]) -> State:
        """A state of level 0 with F and S of the others: S last, a host may keep a solution."""
        actions = torch.stack([inner.action, *(level.action(inner.links)
                                               for level in self.levels)], 1)
        return inner._replace(action=actions.sum(1), level_actions=actions,
                              level_forces=torch.stack(tuple(forces), 1))

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """From (state, momenta) through all levels: where it ends, log|J| and every force there.

        Raises ConfigError for a state whose noise was never drawn.
        """
        forces = [state.force, *_drawn(state.level_forces).unbind(1)]
        place = _Place(state.links, momenta, forces, momenta.new_zeros(len(momenta)).real,
                       [0] * len(forces))
        self._run(len(self.levels), self.length, place, generator)
        ends = [self._force(level, place) for level in range(1, len(forces))]
        return Trajectory(place.links, place.momenta, place.log_det, place.forces[0],
                          place.counts[0], torch.stack(ends, 1), tuple(place.counts[1:]))

    def _run(self, number: int, time: float, place: _Place, generator: Generators) -> None:
        """A trajectory of level `number` over MD time `time`."""
        if number == 0:
            self._innermost(time, place, generator)
            return
        level = self.levels[number - 1]
        factor = time / level.length
        for k, (kick, displacement) in enumerate(zip(level.plan.kicks, level.plan.displacements,
                                                     strict=True)):
            if k > 0 and level.plan.drifts[k - 1] != 0.0:
                count = level.counts[k - 1]
                for _ in range(count):
                    self._run(number - 1, factor * level.plan.drifts[k - 1] / count, place,
                              generator)
            if kick != 0.0:
                push = self._push(number, factor**2 * displacement, place)
                place.momenta = place.momenta - factor * kick * push

    def _innermost(self, time: float, place: _Place, generator: Generators) -> None:
        step = self.inner.scaled(time / self.inner.length)
        nothing = place.log_det  # S of a start is no part of a trajectory
        end = step.trajectory(State(place.links, nothing, place.forces[0]), place.momenta,
                              generator)
        place.links, place.momenta = end.links, end.momenta
        place.log_det = place.log_det + end.log_det
        place.forces = [end.force] + [None] * len(self.levels)
        place.counts[0] += end.force_evaluations

    def _force(self, number: int, place: _Place) -> Tensor:
        known = place.forces[number]
        if known is None:
            known = place.forces[number] = self.levels[number - 1].force(place.links)
            place.counts[number] += 1
        return known

    def _push(self, number: int, displacement: float, place: _Place) -> Tensor:
        """F of a level here, or at the field displaced along it."""
        force = self._force(number, place)
        if displacement == 0.0:
            return force
        drift = group_of(self.inner.action).drift
        place.counts[number] += 1
        return self.levels[number - 1].force(drift(force, place.links, -displacement))

    def moved(self, state: State, momenta: Tensor, generator: Generators) -> tuple[State, Info]:
        """Where a trajectory takes (state, momenta); not a number where a solver gave up."""
        kinetic = group_of(self.inner.action).kinetic
        end = self.trajectory(state, momenta, generator)
        inner = State(end.links, self.inner.action(end.links), end.force)
        new = self._whole(inner, _drawn(end.level_forces).unbind(1))
        delta_kinetic = kinetic(end.momenta) - kinetic(momenta)
        delta_action = new.action - state.action
        uses, failed = self._uses(end)
        ratio = end.log_det - delta_kinetic - delta_action
        if failed is not None:
            ratio = torch.where(failed.to(ratio.device), torch.nan, ratio)
        return new, Info(
            accepted=torch.zeros_like(end.log_det, dtype=torch.bool), log_ratio=ratio,
            log_det=end.log_det, delta_kinetic=delta_kinetic, delta_action=delta_action,
            force_evaluations=end.force_evaluations, levels=uses, unsolved=failed)

    def _uses(self, end: Trajectory) -> tuple[tuple[LevelUse, ...], Tensor | None]:
        """What each level cost since it was last asked, and the chains where a solver gave up."""
        uses, whole = [], SolverReport()
        for level, forces in zip(self.levels, end.level_evaluations, strict=True):
            report = SolverReport()
            for term in level.terms:
                report = report.joined(term.report())
            uses.append(LevelUse(level.name, forces + level.noisy, report.solves,
                                 report.iterations))
            whole = whole.joined(report)
        return tuple(uses), whole.failed

    def there_and_back(self, state: State, momenta: Tensor, generator: Generators) -> Tensor:
        """The links after a trajectory and its inverse, forces at the end computed anew."""
        end = self.trajectory(state, momenta, generator)
        return self.trajectory(self.at(end.links), -end.momenta, generator).links

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact Markov step for e^{-S} of all levels."""
        return markov.step(self, state, generator)

    @torch.no_grad()
    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """(links', dH_effective = dK + dS - log|J|, Info) for a host that accepts itself."""
        state = self.refreshed(self.init(links), generator)
        proposal, info = markov.propose(self, state, generator)
        return proposal.links, -info.log_ratio, info


def _drawn(known: Tensor | None) -> Tensor:
    """What a state carries of its levels, or ConfigError."""
    if known is None:
        raise ConfigError("nested: expected a `refreshed` state, found one that has drawn no noise")
    return known
