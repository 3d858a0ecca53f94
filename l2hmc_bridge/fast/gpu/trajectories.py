"""Trajectories and flows from torch fields to torch fields, numbers apart between (planar.py).

Each is a function of settings and fields alone, so that it may run as a graph (graphs.py). Sums of
the whole of a lattice that a process holds alone are exact, and rounded in main memory, after it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu import graphs
from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fast.gpu.planar import Moving, leave
from l2hmc_bridge.fast.reference import Ends, Measured
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Part

MOVES = 6  # of a step of a flow


class Kick(NamedTuple):
    """P' = keep P + push F(exp(-g F) U) with a displacement g."""

    push: float
    keep: float = 1.0
    displacement: float = 0.0


class Drift(NamedTuple):
    """U' = exp(step P) U."""

    step: float


class Way(NamedTuple):
    """The couplings of an action, moves, and the part of a lattice that moves, if any."""

    beta: float
    c1: float
    moves: tuple[Kick | Drift, ...]
    part: Part | None


class Legs(NamedTuple):
    """Steps of a flow, (step, steps) from one measurement to the next."""

    legs: tuple[tuple[float, int], ...]
    c1: float
    traceless: bool
    part: Part | None


def trajectory(links: Tensor, momenta: Tensor, force_there: Tensor, beta: float, c1: float,
               kicks: Sequence[float], drifts: Sequence[float], displacements: Sequence[float]
               ) -> Ends:
    """Kick, drift, kick, ...: a kick and the drift after it in one kernel; S and K by the way."""
    moves: list[Kick | Drift] = []
    for n, (kick, displacement) in enumerate(zip(kicks, displacements, strict=True)):
        if n > 0:
            moves.append(Drift(drifts[n - 1]))
        moves.append(Kick(-kick, 1.0, displacement))
    return travel(links, momenta, force_there, beta, c1, moves)


def travel(links: Tensor, momenta: Tensor, force_there: Tensor, beta: float, c1: float,
           moves: Sequence[Kick | Drift]) -> Ends:
    """Where moves lead, S there and K' - K; `force_there` is F at `links`."""
    way = Way(beta, c1, tuple(moves), parts.of(links))
    there = graphs.run(_travelled, way, len(moves), links, momenta, force_there)
    if way.part is not None:
        where = Where(tuple(links.shape[2:6]), way.part)
        there = (*there[:3], *energies(where, beta, c1, there[3:]))
    return Ends(*there)


def _travelled(way: Way, links: Tensor, momenta: Tensor, force_there: Tensor) -> tuple[Tensor, ...]:
    """`travel`; of a part what its energies come of."""
    at = Moving(links, way.beta, way.c1, momenta, force_there)
    before = totals.kinetic_left(at.momenta, at.where)
    for move in way.moves:
        if isinstance(move, Drift):
            at.drift(*move)
        else:
            at.kick(*move)
    ends = at.ends()
    left = (before, totals.kinetic_left(at.momenta, at.where),
            *totals.action_left(at.links, at.where, way.c1))
    return *ends, *(left if way.part is not None else energies(at.where, way.beta, way.c1, left))


def energies(where: Where, beta: float, c1: float, left: Sequence[Tensor]
             ) -> tuple[Tensor, Tensor]:
    """(S, K' - K), [Nb], of what is left of K, K' and the loops of S, which is waited for once."""
    if where.part is not None:
        found = totals.totalled(torch.cat(tuple(left), 1), where)
        left = found.split([one.shape[1] for one in left], 1)
    before, after, *loops = left
    return totals.action_of(loops, beta, c1), after[:, 0] - before[:, 0]


def flow(links: Tensor, step: float, steps: int, c1: float) -> Tensor:
    """`steps` steps of Luescher's third-order scheme (1006.4518, eq. C.2) of size `step`."""
    leg = Legs(((step, steps),), c1, True, parts.of(links))
    found, = graphs.run(_flowed, leg, MOVES * steps, links)
    return found


def flow_measured(links: Tensor, legs: Sequence[tuple[float, int]], c1: float, traceless: bool
                  ) -> list[Measured]:
    """Plaquettes, energies and charge after each of the `legs`, (step, steps), of `flow`."""
    there = Legs(tuple((step, steps) for step, steps in legs), c1, traceless, parts.of(links))
    found = graphs.run(_measured, there, MOVES * sum(steps for _, steps in legs), links)
    if there.part is not None:
        where = Where(tuple(links.shape[2:6]), there.part)
        return [Measured(*totals.clover_of(totals.totalled(one, where), where)) for one in found]
    return [Measured(*pair) for pair in zip(found[::2], found[1::2], strict=True)]


def _flowed(there: Legs, links: Tensor) -> tuple[Tensor]:
    at = Moving(links, 6.0, there.c1)
    for leg in there.legs:
        at.flow(*leg)
    return leave(at.links, at.extents),


def _measured(there: Legs, links: Tensor) -> tuple[Tensor, ...]:
    """Plaquettes and clover in turn; of a part what they come of."""
    at = Moving(links, 6.0, there.c1)
    found: list[Tensor] = []
    for leg in there.legs:
        at.flow(*leg)
        left = totals.clover_left(at.links, at.where, there.traceless)
        found += [left] if there.part is not None else totals.clover_of(left, at.where)
    return tuple(found)
