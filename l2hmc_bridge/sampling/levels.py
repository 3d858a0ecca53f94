"""Levels of a nested step: host terms that are kicked together, and when."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.integrators import Schedule
from l2hmc_bridge.sampling.markov import Info
from l2hmc_bridge.sampling.terms import HostTerm
from l2hmc_bridge.systems.actions import Action

SYMMETRY = 1e-12  # of a schedule read backwards, in units of its largest step


@dataclass(frozen=True)
class Level:
    """Terms that are kicked together, their schedule, and how finely each drift is run inside.

    plan: kicks, drifts and displacements of one trajectory, in MD time. repeats: trajectories of
    the level inside for each drift, one number for all or one for each. Raises ConfigError for a
    level without terms or steps, a term that is in it twice, steps that are no finite numbers, and
    for one that is not the same backwards.
    """

    name: str
    terms: tuple[HostTerm, ...]
    plan: Schedule
    repeats: int | tuple[int, ...] = 1

    def __post_init__(self):
        where = f"level {self.name!r}"
        if not self.terms:
            raise ConfigError(f"{where}: expected at least one term, found none")
        for name in _repeated(term.name for term in self.terms):
            raise ConfigError(f"{where}: expected each term once, found {name!r} twice")
        drifts = len(self.plan.drifts)
        if drifts < 1 or not len(self.plan.kicks) == len(self.plan.displacements) == drifts + 1:
            raise ConfigError(f"{where}: expected steps: n >= 1 drifts between n + 1 kicks and "
                              f"displacements, found {tuple(map(len, self.plan))} kicks, drifts "
                              "and displacements")
        for part, steps in zip(Schedule._fields, self.plan, strict=True):
            if not all(map(math.isfinite, steps)):
                raise ConfigError(f"{where}: expected {part} of finite numbers, found {steps}")
        counts = self.counts
        if len(counts) != drifts or min(counts) < 1:
            raise ConfigError(f"{where}: expected repeats of at least 1 for each of {drifts} "
                              f"drifts, found {self.repeats}")
        largest = max(abs(drift) for drift in self.plan.drifts)
        if counts[::-1] != counts or any(
                abs(a - b) > SYMMETRY * largest for part in self.plan
                for a, b in zip(part, part[::-1], strict=True)):
            raise ConfigError(f"{where}: expected steps that are the same backwards, found {self}")
        if not 0 < self.length < math.inf:
            raise ConfigError(f"{where}: expected drifts of positive length, found {self.length}")

    @property
    def noisy(self) -> bool:
        """Whether a term has noise that is drawn for every trajectory, which voids its force."""
        return any(term.noisy for term in self.terms)

    @property
    def counts(self) -> tuple[int, ...]:
        """Trajectories inside, drift by drift."""
        if isinstance(self.repeats, int):
            return (self.repeats,) * len(self.plan.drifts)
        return tuple(self.repeats)

    @property
    def length(self) -> float:
        """MD time of one trajectory."""
        return sum(self.plan.drifts)

    def action(self, links: Tensor) -> Tensor:
        """The sum of its terms, [Nb]."""
        return reduce(torch.add, (term(links) for term in self.terms))

    def force(self, links: Tensor) -> Tensor:
        """The sum of its forces, like links."""
        return reduce(torch.add, (term.force(links) for term in self.terms))


def require_levels(levels: Sequence[Level], group: str) -> None:
    """Raise ConfigError unless these can be the levels of one nested step on `group`.

    For none, a name that two of them have, a term of one name in two of them (S would count it
    twice), and a term on another group.
    """
    if not levels:
        raise ConfigError("nested: expected at least one level, found none")
    for name in _repeated(level.name for level in levels):
        raise ConfigError(f"nested: expected levels of different names, found two called {name!r}")
    for name in _repeated(term.name for level in levels for term in level.terms):
        found = [level.name for level in levels if name in [term.name for term in level.terms]]
        raise ConfigError(f"nested: expected each term in one level, found {name!r} in {found}: S "
                          "would count it twice (terms that differ have different names)")
    for level in levels:
        for term in level.terms:
            if term.group != group:
                raise ConfigError(f"level {level.name!r}: expected terms on {group} as the inner "
                                  f"step, found {term.name!r} on {term.group}")


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


@dataclass(frozen=True)
class Total:
    """S of all levels together, and its refresh: the Action that a nested step is exact for."""

    inner: Action
    terms: tuple[HostTerm, ...]

    @property
    def group(self) -> str:
        """Of all of them."""
        return self.inner.group

    @property
    def beta(self) -> float:
        """The coupling that networks see."""
        return self.inner.beta

    def __call__(self, links: Tensor) -> Tensor:
        """S, [Nb]."""
        return self.inner(links) + sum(term(links) for term in self.terms)

    def force(self, links: Tensor) -> Tensor:
        """F, like links."""
        return self.inner.force(links) + sum(term.force(links) for term in self.terms)

    def at(self, beta: float) -> "Total":
        """The same with the innermost action at another coupling."""
        return Total(self.inner.at(beta), self.terms)

    @property
    def noisy(self) -> bool:
        """Whether a term has noise."""
        return any(term.noisy for term in self.terms)

    def refresh(self, links: Tensor, generator: Generators) -> bool:
        """Draw the noise of every term; False if none has any."""
        return any([term.refresh(links, generator) for term in self.terms])


def usage(infos: Sequence[Info]) -> dict[str, dict[str, float]]:
    """{level: forces, solves, iterations per trajectory; iterations per solve} of many steps."""
    found: dict[str, dict[str, float]] = {}
    for info in infos:
        for use in info.levels:
            row = found.setdefault(use.name, {"forces": 0.0, "solves": 0.0, "iterations": 0.0})
            row["forces"] += use.forces / len(infos)
            row["solves"] += use.solves / len(infos)
            row["iterations"] += use.iterations / len(infos)
    for row in found.values():
        row["iterations_per_solve"] = row["iterations"] / max(row["solves"], 1e-300)
    return found


def unsolved(infos: Sequence[Info]) -> int:
    """Trajectories of all chains that were rejected because a solver gave up."""
    return sum(int(info.unsolved.sum()) for info in infos if info.unsolved is not None)
