"""GPT (github.com/lehner/gpt): live fields to and from links, and our kernels as GPT updates.

    from l2hmc_bridge.adapters import gpt as bridge

    update = bridge.l2hmc_update(kernel, rng)        # rng = g.random("seed")
    accepted, dh = update(U)                         # in place, or update(U, action)

    metro = g.algorithms.markov.metropolis(rng)      # GPT's own accept/reject, GPT's action a(U)
    propose, accrej = bridge.l2hmc_proposal(kernel, rng), metro(U)
    h0 = a(U)
    correction = propose(U)                          # U is U' now; dK - log|J|
    accepted = accrej(a(U) + correction, h0)

GPT's field is a list of four lattices, mu = x,y,z,t. Its algebra is Hermitian, pi = sum_a p_a t_a
with tr t_a t_b = delta_ab / 2 and p_a ~ N(0,1), its drift exp(i eps pi) U, its gradient
G = sum_a t_a dS/da: so P = i pi, F = i G, and K and MD time are ours. Its action is ours plus
6 beta V (c0 + 2 c1). Read in GPT's source of 2024-10-31 (f3ef3267), run inside that of 2026-08-13
(851072d7).
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError, BridgeError, LayoutError
from l2hmc_bridge.fields.agreement import everywhere_finite
from l2hmc_bridge.fields.part import holding, whole
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.host_action import HostAction, Hosted
from l2hmc_bridge.sampling.markov import Info, Kernel, Proposer, Proposes
from l2hmc_bridge.systems.actions import GaugeAction

from .cut import draws_from, require_rank_alone, sharing
from .gpt_fields import (
    ALGEBRA,
    GROUP,
    agreed,
    from_links,
    from_momenta,
    read,
    to_links,
    to_momenta,
    write,
)
from .gpt_grid import cut_of, grid_of

__all__ = ["from_links", "from_momenta", "gauge_action", "host_action", "l2hmc_proposal",
           "l2hmc_update", "library", "to_links", "to_momenta"]


def library() -> ModuleType:
    """Grid's `gpt`, or BridgeError: the package called gpt on PyPI is another one."""
    try:
        import gpt
    except ImportError as error:
        raise BridgeError(f"expected GPT, found none that imports ({error}): it is built from "
                          "github.com/lehner/gpt on top of Grid, `pip install gpt` is not it") \
            from error
    if not hasattr(gpt, "qcd"):
        raise BridgeError(f"expected Grid's GPT (with gpt.qcd), found an unrelated package gpt in "
                          f"{getattr(gpt, '__file__', None)}: uninstall it, and source the "
                          "build/source.sh of github.com/lehner/gpt")
    return gpt


def gauge_action(action: Any) -> GaugeAction:
    """Our action with the couplings of one of g.qcd.gauge.action: its S plus 6 beta V (c0 + 2 c1).

    Raises ActionError by name for one that is none of ours (`host_action` takes any).
    """
    name = getattr(action, "__name__", type(action).__name__)
    kind = name.split("(")[0]
    if kind == "wilson":
        return GaugeAction(float(action.beta))
    if kind == "improved_with_rectangle" and abs(action.c0 + 8 * action.c1 - 1) < 1e-12:
        return GaugeAction(float(action.beta), float(action.c1))
    raise ActionError(f"GPT action {name}: expected wilson or improved_with_rectangle with "
                      "c0 = 1 - 8 c1, isotropic and periodic; host_action(action, U) takes any "
                      "action into the accept step")


def host_action(action: Any, U: Sequence[Any], fields: Sequence[Any] = (), rng: Any = None,
                beta: float = 0.0) -> HostAction:
    """A GPT action as a HostAction: S = action(U), F = i action.gradient(U, U).

    U only says which grid; a copy of it is worked on. A pseudofermion action has more `fields`
    (its phi): S = action(U + fields), and action.draw(U + fields, rng) redraws them once a
    trajectory. beta is what networks take as theirs, by default the action's own. Raises
    LayoutError for a single-precision grid: differences of S need double; ActionError for fields
    without an rng.
    """
    if U[0].grid.precision.__name__ != "double":
        raise LayoutError("GPT action: expected a grid in double precision for the accept step, "
                          f"found {U[0].grid.precision.__name__} (g.convert(U, g.double))")
    if fields and rng is None:
        raise ActionError("GPT action: expected rng along with fields, to draw them by, found none")
    scratch, more = [one.new() for one in U], list(fields)

    def value(links: Tensor) -> Any:
        write(links, scratch, GROUP)
        with holding(None):  # GPT computes with what it has, whatever part of it is ours
            return action(scratch + more)

    def force(links: Tensor) -> Tensor:
        write(links, scratch, GROUP)
        with holding(None):
            gradient = action.gradient(scratch + more, scratch)
        return 1j * read(gradient, ALGEBRA)

    def draw(links: Tensor, _generator: Any) -> None:
        write(links, scratch, GROUP)
        with holding(None):
            action.draw(scratch + more, rng)

    return HostAction(value, force if hasattr(action, "gradient") else None,
                      draw if more else None, beta or getattr(action, "beta", 0.0))


class Moves:
    """What all of GPT's ways to move by a kernel of ours have: it, GPT's rng, the ranks."""

    def __init__(self, kernel: Any, rng: Any, communicator: Any = None, gather: bool = False):
        self.kernel, self.rng = kernel, rng
        self.communicator, self.gather = communicator, gather

    def together(self, U: Sequence[Any], kernel: Proposes) -> AbstractContextManager[None]:
        """Compute with what this rank has of the lattice of U, or with the whole of it."""
        cut = cut_of(grid_of(U, GROUP))
        return holding(whole(cut.lattice)) if self.gather else sharing(cut, kernel,
                                                                       self.communicator)

    def stepped(self, U: Sequence[Any], kernel: Kernel) -> tuple[bool, float, Info]:
        """(accepted, dH_effective, Info) of a step of this kernel; U moves in place."""
        with self.together(U, cast(Proposes, kernel)):
            links, grid = to_links(U), U[0].grid
            state, info = kernel.step(kernel.init(links), draws_of(self.rng, grid))
            numbers = np.array([float(info.accepted[0]), -float(info.log_ratio[0])])
            moved = agreed(state.links, numbers, grid) if self.gather else state.links
            if numbers[0]:
                from_links(moved, U)
        delta = float(numbers[1])
        return bool(numbers[0]), delta if math.isfinite(delta) else math.inf, info


class l2hmc_update(Moves):
    """A kernel as an object like those of g.algorithms.markov: update(U) moves U in place.

    rng is GPT's: one number is drawn from it per trajectory and seeds ours, so a run repeats with
    its seed. update(U, action) lets a GPT action decide if it is not the kernel's own. On a
    single grid the step is computed in double and U' rounded where it is stored: exact to that
    rounding, 1e-7 of a link, as any stream kept in single precision; convert U for more.

    With several ranks each computes with its own sites, bit for bit what one rank would:
    communicator is that of mpi4py which has them, MPI.COMM_WORLD by default. With gather every rank
    has the whole field and takes rank 0's result, for steps that run on one rank alone and without
    mpi4py. Raises as `cut.sharing`.
    """

    kernel: Kernel

    def __call__(self, U: Sequence[Any], action: Any = None) -> tuple[bool, float]:
        """(accepted, dH_effective = dK + dS - log|J|); a rejected U is not touched."""
        kernel: Any = self.kernel if action is None else Hosted(
            cast(Proposer, self.kernel), host_action(action, U))
        accepted, delta, _ = self.stepped(U, kernel)
        return accepted, delta


class l2hmc_proposal(Moves):
    """The kernel's proposal alone, for GPT's own accept/reject (see the module's first lines).

    rng, communicator, gather: as `l2hmc_update`.
    """

    kernel: Proposes

    def __call__(self, U: Sequence[Any]) -> float:
        """Move U in place to U' and return dK - log|J|; +inf, and U untouched, if it diverged.

        accrej(h1, h0) with h1 = S(U') + this and h0 = S(U) restores U if it rejects.
        """
        with self.together(U, self.kernel):
            links, grid = to_links(U), U[0].grid
            moved, _, info = self.kernel.propose(links, draws_of(self.rng, grid))
            numbers = np.array([float(info.delta_proposal[0])])
            if not everywhere_finite(moved):
                numbers[0] = np.inf
            if self.gather:
                moved = agreed(moved, numbers, grid)
            if not np.isfinite(numbers[0]):
                return float("inf")
            from_links(moved, U)
        return float(numbers[0])


def draws_of(rng: Any, grid: Any) -> Generators:
    """The draws of one trajectory, numbered by the site under a seed that GPT draws.

    A torch.Generator draws itself, on one rank.
    """
    if isinstance(rng, torch.Generator):
        require_rank_alone("GPT field")
        return rng
    return draws_from(lambda: seed_of(rng, grid))


def seed_of(rng: Any, grid: Any) -> int:
    """One 31-bit number of GPT's, rank 0's on all ranks.

    GPT takes the bounds of uniform_int as C ints: beyond 2^31 - 1 it returns 0 for ever.
    """
    drawn = rng.uniform_int(min=0, max=2**31 - 1)
    word = grid.globalsum(float(drawn) if grid.processor == 0 else 0.0)
    return int(np.real(word))
