"""Trajectories with networks: their moves are noted, and made when all are known, as in
trajectories.py, so that small fields may run as a graph.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu import graphs
from l2hmc_bridge.fast.gpu.learned.moves import Subset
from l2hmc_bridge.fast.gpu.learned.moving import Learned, log_det
from l2hmc_bridge.fast.gpu.learned.networks import Network
from l2hmc_bridge.fast.gpu.learned.seeing import names_of, usable
from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fast.gpu.trajectories import energies
from l2hmc_bridge.fast.reference import Ends
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Part


class Of(NamedTuple):
    """A network by its place: one of those of kicks (0) or drifts (1)."""

    sort: int
    number: int
    tanh: bool


class Later(NamedTuple):
    """The force of a displaced field: how many of them were asked for before."""

    number: int


class Call(NamedTuple):
    """A move: a method of Learned, and what it is called with."""

    method: Callable[..., Tensor | None]
    arguments: tuple[Hashable, ...]


class Script(NamedTuple):
    """Couplings, loops of a kick network if there is one, moves, what is handed on to the
    trajectory, whether there are networks of kicks and of drifts, the part of a lattice, if any.
    """

    beta: float
    c1: float
    loops: tuple[str, ...] | None
    calls: tuple[Call, ...]
    seen: tuple[str, ...]
    sorts: tuple[bool, bool]
    part: Part | None


class Noted:
    """The moves of Learned, noted."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._forces = 0

    def kick_at(self, force: Later | None, push: float, keep: float) -> None:
        self._note(Learned.kick_at, force, push, keep)

    def kick_by(self, network: Of, mode: int, h: float, mixing: float | None, force: Later | None
                ) -> None:
        self._note(Learned.kick_by, network, mode, h, mixing, force)

    def kick_mixed(self, push: float, keep: float, mixing: float, force: Later | None) -> None:
        self._note(Learned.kick_mixed, push, keep, mixing, force)

    def drift(self, step: float) -> None:
        self._note(Learned.drift, step)

    def take_turn(self, network: Of, mu: int, odd: bool, e: float, sign: int, smooth: bool,
                  first: bool) -> None:
        self._note(_take_turn, network, mu, odd, e, sign, smooth, first)

    def move(self, network: Of | None, mu: int, odd: bool | None, e: float, sign: int,
             mixing: float | None, smooth: bool) -> None:
        self._note(Learned.move, network, mu, odd, e, sign, mixing, smooth)

    def arrive(self) -> None:
        self._note(Learned.arrive)

    def displaced(self, displacement: float) -> Later:
        self._note(Learned.displaced, displacement)
        self._forces += 1
        return Later(self._forces - 1)

    def _note(self, method: Callable[..., Tensor | None], *arguments: Hashable) -> None:
        self.calls.append(Call(method, arguments))


class Played(NamedTuple):
    """Where a trajectory ends, log|J| [Nb], and what the next one from there may begin with."""

    ends: Ends
    log_det: Tensor
    seen: dict[str, Tensor] | None


def play(calls: Sequence[Call], fields: tuple[Tensor, Tensor, Tensor], beta: float, c1: float,
         loops: Sequence[str] | None, kicks: Sequence[Network] | None,
         drifts: Sequence[Network] | None, seen: Mapping[str, Tensor]) -> Played:
    """Where moves lead from (links, momenta, force there), with these networks.

    `seen`: what another trajectory left at these links.
    """
    links, sorts, names = fields[0], (kicks, drifts), names_of(loops, beta, c1)
    known = usable(seen, names, links)
    script = Script(beta, c1, None if loops is None else tuple(loops), tuple(calls), tuple(known),
                    (kicks is not None, drifts is not None), parts.of(links))
    rows = [torch.stack([one.rows for one in sort]) for sort in sorts if sort is not None]
    there = graphs.run(_played, script, len(calls), *fields, *rows, *known.values())
    before = 3 + (2 if script.part is None else 3 if c1 == 0 else 4)
    left, handed = there[3:before], there[before:]
    if script.part is not None:
        left = energies(Where(tuple(links.shape[2:6]), script.part), beta, c1, left)
    ends = Ends(*there[:3], *left)
    if loops is None:
        return Played(ends, torch.zeros_like(left[0]), None)
    scaled, *values = handed
    return Played(ends, scaled if script.part is None else log_det(scaled, script.part),
                  dict(zip(names, values, strict=True)))


def _played(script: Script, links: Tensor, momenta: Tensor, force: Tensor, *more: Tensor
            ) -> tuple[Tensor, ...]:
    """`play`; of a part what energies and log|J| come of."""
    sorts = iter(more)
    rows = [next(sorts) if there else None for there in script.sorts]
    at = Learned(links, script.beta, script.c1, momenta, force, script.loops)
    before = totals.kinetic_left(at.momenta, at.where)
    at.begin(dict(zip(script.seen, sorts, strict=True)))
    forces: list[Tensor | None] = []
    for method, arguments in script.calls:
        found = method(at, *(_meant(one, rows, forces) for one in arguments))
        if found is not None:
            forces.append(found)
        if method is Learned.arrive:  # at other links, where nobody asks for them
            forces = [None] * len(forces)
    ends = at.ends()
    left: tuple[Tensor, ...] = (before, totals.kinetic_left(at.momenta, at.where),
                                *totals.action_left(at.links, at.where, script.c1))
    if script.part is None:
        left = energies(at.where, script.beta, script.c1, left)
    handed = at.hand_on()
    if handed is None:
        return *ends, *left
    scaled = at.exponent()
    return (*ends, *left, log_det(scaled, None) if script.part is None else scaled,
            *handed.values())


def _meant(one: Hashable, rows: Sequence[Tensor | None], forces: Sequence[Tensor | None]
           ) -> object:
    """What an argument stands for."""
    if isinstance(one, Of):
        of_sort = rows[one.sort]
        return None if of_sort is None else Network(of_sort[one.number], one.tanh)
    return forces[one.number] if isinstance(one, Later) else one


def _take_turn(at: Learned, network: Network, mu: int, odd: bool, e: float, sign: int,
               smooth: bool, first: bool) -> None:
    at.take_turn(Subset(mu, odd, network), e, sign, smooth, first)
