"""Several kernels as one: three HMC trajectories and an L2HMC update, in turn or at random.

    kernel = Mixture([(hmc, 3), (l2hmc, 1)], watch={"l2hmc": Drift()})

Each part leaves e^{-S} invariant, so both ways to combine them do. "cycle" (the default): 3 HMC
steps, 1 L2HMC step, 3 HMC steps, ...; the product of reversible steps is exact, though not
reversible itself. "random": every step is HMC with probability 3/4, drawn before anything else;
reversible, and each trajectory can be replayed from its generator alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from l2hmc_bridge.analysis.statistics import Estimate, estimate, exp_minus_dh
from l2hmc_bridge.errors import ActionError, ConfigError
from l2hmc_bridge.sampling.draws import Draws, Generators, draws_of
from l2hmc_bridge.sampling.markov import Info, Kernel, Proposer, State
from l2hmc_bridge.sampling.watch import Drift
from l2hmc_bridge.systems.actions import Action, noisy

CHOICES = ("cycle", "random")


class Usage(NamedTuple):
    """How the updates of one kind went, all chains together."""

    updates: int
    acceptance: float
    delta_h: Estimate | None  # mean of dK + dS - log|J|; None before the first update
    exp_minus_dh: Estimate | None  # 1 for an exact step
    bad: int  # updates whose dH was not finite: rejects
    force_evaluations: int


class Mixture:
    """A kernel made of kernels; parts are (kernel, weight), weights whole numbers >= 1.

    All parts have the same action. A part is called after its class ("hmc", "l2hmc"), the second
    of a name "hmc_2", or as `names` says. `watch` puts a Drift on parts by name. `position` is the
    next place in the cycle: set it to go on with a stream. Raises ConfigError, ActionError.
    """

    def __init__(self, parts: Sequence[tuple[Kernel, int]], choice: str = "cycle",
                 names: Sequence[str] | None = None, watch: Mapping[str, Drift] | None = None):
        _check(parts, choice)
        self.kernels = [kernel for kernel, _ in parts]
        self.weights = [weight for _, weight in parts]
        self.choice, self.position = choice, 0
        self.names = list(names) if names is not None else _names(self.kernels)
        self.watch = dict(watch or {})
        if len(set(self.names)) != len(parts) or not set(self.watch) <= set(self.names):
            raise ConfigError(f"mixture: expected {len(parts)} different names, and watches on "
                              f"them, found {self.names} and {sorted(self.watch)}")
        guides = [kernel.guide for kernel in self.kernels if kernel.guide is not None]
        self._one_force = all(guide is guides[0] or guide == guides[0] for guide in guides)
        self._rows: dict[str, dict[int, list[tuple[bool, float]]]] = {n: {} for n in self.names}
        self._forces = dict.fromkeys(self.names, 0)

    @property
    def action(self) -> Action:
        """The action all parts sample."""
        return self.kernels[0].action

    @property
    def guide(self) -> Action | None:
        """The action whose force State carries if all parts that need a force share one."""
        return next((kernel.guide for kernel in self.kernels if kernel.guide is not None), None)

    @property
    def name(self) -> str:
        """What its updates are called."""
        return "mixture"

    def check(self, links: Tensor) -> None:
        """LayoutError unless every part fits the lattice of `links`."""
        for kernel in self.kernels:
            kernel.check(links)

    @property
    def length(self) -> float:
        """Mean MD time of one update."""
        return sum(w * k.length for k, w in self._weighted()) / sum(self.weights)

    def scaled(self, factor: float) -> "Mixture":
        """The same with every step of every part multiplied by `factor`; no statistics yet.

        Its watches are new ones of the same settings: what tuning did is no part of the stream.
        """
        parts = [(kernel.scaled(factor), weight) for kernel, weight in self._weighted()]
        watch = {name: Drift(one.observables, one.sigmas, one.minimum)
                 for name, one in self.watch.items()}
        return Mixture(parts, self.choice, self.names, watch)

    def init(self, links: Tensor) -> State:
        """State at `links`, with the force of the first part that needs one."""
        needing = (kernel for kernel in self.kernels if kernel.guide is not None)
        return next(needing, self.kernels[0]).init(links)

    @torch.no_grad()
    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact step of the part whose turn it is."""
        draws = draws_of(generator)
        turns = self._turns(len(state.links), draws)
        ends = [self._part_step(part, state, draws, rows) for part, rows in turns]
        if len(ends) == 1:
            return ends[0]
        order = torch.cat([rows for _, rows in turns]).argsort()
        return (_joined_states([one for one, _ in ends], order),
                _joined_infos([one for _, one in ends], order))

    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """Proposal of the part whose turn it is; the host's accept/reject is not in `usage`.

        One choice for all chains. ActionError if a part, a heat bath, makes no proposals.
        """
        for kernel, name in zip(self.kernels, self.names, strict=True):
            if not hasattr(kernel, "propose"):
                raise ActionError(f"mixture: expected parts that propose, found {name!r}, which "
                                  "has no proposal that a host could accept (use step)")
        draws = draws_of(generator)
        (part, _), = self._turns(1, draws.of([0]))
        return cast(Proposer, self.kernels[part]).propose(links, draws)

    def usage(self) -> dict[str, Usage]:
        """{name: acceptance, dH and <exp(-dH)> of the updates so far}."""
        return {name: _usage(list(self._rows[name].values()), self._forces[name])
                for name in self.names}

    def warnings(self) -> list[str]:
        """What the watched parts do that an exact update does not."""
        return [f"{name}: {sentence}" for name, drift in self.watch.items()
                for sentence in drift.warnings()]

    def _weighted(self) -> list[tuple[Kernel, int]]:
        return list(zip(self.kernels, self.weights, strict=True))

    def _turns(self, chains: int, draws: Draws) -> list[tuple[int, Tensor]]:
        """(part, rows of the batch) of this step; one generator for all chains: one choice."""
        everyone = torch.arange(chains)
        ends = torch.tensor(self.weights, dtype=torch.float64).cumsum(0)
        if self.choice == "cycle":
            place = self.position % sum(self.weights)
            self.position += 1
            return [(int(torch.searchsorted(ends, float(place), right=True)), everyone)]
        uniform = draws.uniform(1 if draws.shared else chains)
        chosen = torch.searchsorted(ends, uniform * ends[-1], right=True).expand(chains)
        return [(part, everyone[chosen == part]) for part in chosen.unique().tolist()]

    def _part_step(self, part: int, state: State, draws: Draws, rows: Tensor
                   ) -> tuple[State, Info]:
        kernel, name = self.kernels[part], self.names[part]
        if len(rows) < len(state.links):
            state = _of_rows(state, rows)
            draws = draws.of(rows.tolist())
        if kernel.guide is not None and (state.force is None or not self._one_force):
            known = None if noisy(kernel.guide) else kernel.guide.force(state.links)
            state = state._replace(force=known)  # with noise, which is not drawn yet, by the step
        drift = self.watch.get(name)
        before = drift.measure(state.links) if drift else {}
        state, info = kernel.step(state, draws)
        if drift:
            drift.record(before, state.links, rows.tolist())
        outcome = zip(rows.tolist(), info.accepted.tolist(), (-info.log_ratio).tolist(),
                      strict=True)
        for chain, accepted, delta in outcome:
            self._rows[name].setdefault(chain, []).append((accepted, delta))
        self._forces[name] += info.force_evaluations * len(rows)
        return (state if self._one_force else state._replace(force=None)), info


def _check(parts: Sequence[tuple[Kernel, int]], choice: str) -> None:
    if choice not in CHOICES:
        raise ConfigError(f"mixture: expected a choice of {', '.join(CHOICES)}, found {choice!r}")
    weights = [weight for _, weight in parts]
    if not parts or any(type(weight) is not int or weight < 1 for weight in weights):
        raise ConfigError(f"mixture: expected parts (kernel, weight), weights whole numbers of at "
                          f"least 1, found weights {weights}")
    first = parts[0][0].action
    for kernel, _ in parts[1:]:
        if kernel.action is not first and kernel.action != first:
            raise ActionError(f"mixture: expected one action for all parts, found {first!r} and "
                              f"{kernel.action!r}")


def _names(kernels: Sequence[Kernel]) -> list[str]:
    names: list[str] = []
    for kernel in kernels:
        name = kernel.name
        same = sum(one == name or one.startswith(f"{name}_") for one in names)
        names.append(f"{name}_{same + 1}" if same else name)
    return names


def _of_rows(state: State, rows: Tensor) -> State:
    """The state of these chains alone."""
    def part(one: Tensor | None) -> Tensor | None:
        return None if one is None else one[rows]

    return State(state.links[rows], state.action[rows], part(state.force),
                 part(state.level_actions), part(state.level_forces))


def _joined_states(parts: list[State], order: Tensor) -> State:
    """States of parts of a batch as that of the whole."""
    def whole(column: Callable[[State], Tensor | None]) -> Tensor | None:
        known = [one for part in parts if (one := column(part)) is not None]
        together = torch.cat(known) if len(known) == len(parts) else None
        return None if together is None else together[order.to(together.device)]

    links, action = (torch.cat([part.links for part in parts]),
                     torch.cat([part.action for part in parts]))
    return State(links[order.to(links.device)], action[order.to(action.device)],
                 whole(lambda one: one.force), whole(lambda one: one.level_actions),
                 whole(lambda one: one.level_forces))


def _joined_infos(parts: list[Info], order: Tensor) -> Info:
    """Infos of parts of a batch as that of the whole; of forces and levels the costliest part."""
    def whole(column: Callable[[Info], Tensor]) -> Tensor:
        together = torch.cat([column(part) for part in parts])
        return together[order.to(together.device)]

    nobody = [torch.zeros(len(part.accepted), dtype=torch.bool) for part in parts]
    unsolved = torch.cat([empty if part.unsolved is None else part.unsolved
                          for part, empty in zip(parts, nobody, strict=True)])[order]
    costly = max(parts, key=lambda part: sum(use.forces for use in part.levels))
    return Info(whole(lambda one: one.accepted), whole(lambda one: one.log_ratio),
                whole(lambda one: one.log_det), whole(lambda one: one.delta_kinetic),
                whole(lambda one: one.delta_action),
                max(part.force_evaluations for part in parts), costly.levels,
                unsolved if unsolved.any() else None)


def _usage(chains: list[list[tuple[bool, float]]], forces: int) -> Usage:
    updates = sum(map(len, chains))
    if not updates:
        return Usage(0, float("nan"), None, None, 0, 0)
    deltas = [[delta for _, delta in chain] for chain in chains]
    finite = [kept for chain in deltas if (kept := [d for d in chain if abs(d) < float("inf")])]
    weight, bad = exp_minus_dh(deltas)
    accepted = sum(accepted for chain in chains for accepted, _ in chain)
    return Usage(updates, accepted / updates, estimate(finite) if finite else None, weight, bad,
                 forces)
