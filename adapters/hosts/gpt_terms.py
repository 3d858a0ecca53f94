"""GPT's pseudofermion actions as terms of a nested step, and GPT's own gauge integrator inside it.

    from l2hmc_bridge.adapters.hosts import gpt_terms as bridge

    act = g.qcd.pseudofermion.action.two_flavor_evenodd_schur
    phi = g.vspincolor(quark.F_grid_eo)
    term = bridge.host_term("quarks", act(quark, exact), U, phi, rng, force=act(quark, sloppy))
    kernel = Nested(gauge, (Level("quarks", (term,), schedule("omf2", 1 / 6, 6)),))
    update = bridge.nested_update(kernel, rng)
    update.check(U)                                    # once: S and F of each term
    accepted, dh = update(U)                           # in place

`gauge` is a kernel of ours, or GPT's integrator: `gauge_step(integrator, U, pi, action)`, which
moves U by momenta pi over a given MD time. GPT's K and MD time are ours (see gpt.py). Its noise
comes from its own rng, of which one number seeds the momenta of a trajectory. With several ranks
all fields are those of a rank's own sites, GPT's and ours; S is the sum that GPT made over ranks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError, LayoutError, SolverError
from l2hmc_bridge.fields.agreement import everywhere_finite
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.host_action import HostAction
from l2hmc_bridge.sampling.levels import unsolved, usage
from l2hmc_bridge.sampling.markov import Info, State, Trajectory
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import HostTerm, SolverReport, check_terms

from .cut import HostStep
from .gpt import Moves, draws_of
from .gpt_fields import ALGEBRA, GROUP, from_momenta, read, to_links, write

__all__ = ["GaugeStep", "gauge_step", "host_term", "nested_update"]


def host_term(name: str, action: Any, U: Sequence[Any], phi: Any, rng: Any, force: Any = None,
              iterations: Callable[[], float] | None = None,
              gives_up: tuple[type[Exception], ...] = ()) -> HostTerm:
    """A pseudofermion action of GPT as a term: S = action(U + [phi]), F = i gradient.

    U only says which grid; a copy of it is worked on, phi is drawn in place, once a trajectory.
    force: the same action with a sloppier solver, for the gradient. S and F count as a solve each;
    iterations() tells how many all of its solvers made since last asked. gives_up: exceptions that
    mean a solver did not converge (the trajectory is rejected): GPT's cg says so, by ValueError,
    with fail_if_not_converged alone (July 2025); else it goes on with what it has, and S is wrong.
    Raises LayoutError for a single-precision grid.
    """
    if U[0].grid.precision.__name__ != "double":
        raise LayoutError("GPT action: expected a grid in double precision for the accept step, "
                          f"found {U[0].grid.precision.__name__} (g.convert(U, g.double))")
    scratch, told = [one.new() for one in U], {"solves": 0}
    fields, pushing = [*scratch, phi], force or action

    def asked(links: Tensor, function: Callable[[], Any], solves: int = 1) -> Any:
        write(links, scratch, GROUP)
        told["solves"] += solves
        try:
            with holding(None):  # GPT computes with what it has, whatever part of it is ours
                return function()
        except gives_up as error:
            raise SolverError(f"GPT action {name!r}: {error}") from error

    def gradient(links: Tensor) -> Tensor:
        return 1j * read(asked(links, lambda: pushing.gradient(fields, scratch)), ALGEBRA,
                         copies=False)

    def draw(links: Tensor, _generator: Any) -> None:
        asked(links, lambda: action.draw(fields, rng), solves=0)

    def report() -> SolverReport:
        solves, told["solves"] = told["solves"], 0
        return SolverReport(solves, iterations() if iterations else 0.0)

    return HostTerm(name, lambda links: asked(links, lambda: action(fields)), gradient, draw,
                    report, in_parts=True)


class nested_update(Moves):
    """A nested step as an update like GPT's own: update(U) moves U in place.

    `usage()` says what each level cost so far: forces, solves, iterations of a trajectory. rng,
    ranks, communicator and gather: as `gpt.l2hmc_update`.
    """

    kernel: Nested

    def __init__(self, kernel: Nested, rng: Any, communicator: Any = None, gather: bool = False):
        super().__init__(kernel, rng, communicator, gather)
        self.infos: list[Info] = []

    def __call__(self, U: Sequence[Any]) -> tuple[bool, float]:
        """(accepted, dH = dK + dS - log|J|); a rejected U is not touched."""
        accepted, delta, info = self.stepped(U, self.kernel)
        self.infos.append(info)
        return accepted, delta

    def check(self, U: Sequence[Any]) -> None:
        """`terms.check_terms` of its terms at U, which stays as it is; draws their noise."""
        with self.together(U, self.kernel):
            check_terms(self.kernel.action.terms, to_links(U), draws_of(self.rng, U[0].grid))

    def usage(self) -> dict[str, dict[str, float]]:
        """{level: forces, solves, iterations of a trajectory}."""
        return usage(self.infos)

    @property
    def unsolved(self) -> int:
        """Trajectories rejected because a solver gave up."""
        return unsolved(self.infos)


@dataclass(frozen=True)
class GaugeStep(HostStep):
    """GPT's integrator of its gauge action as the innermost step; made by `gauge_step`."""

    integrator: Callable[[float], Any]
    U: Sequence[Any]
    pi: Sequence[Any]
    action: HostAction
    length: float = 1.0
    forces: int = 0

    def __str__(self) -> str:
        """What it does, the same on every rank."""
        return f"GPT's integrator over {self.length!r} with {self.forces} forces"

    @property
    def guide(self) -> HostAction:
        """The action whose force State carries: none of it is."""
        return self.action

    @property
    def name(self) -> str:
        """What its updates are called."""
        return "gpt"

    @property
    def involutive(self) -> bool:
        """Whether a trajectory with its end's momenta reversed is its own inverse."""
        return True

    def check(self, links: Tensor) -> None:
        """LayoutError unless links have the lattice of U."""
        write(links, self.U, GROUP)

    def scaled(self, factor: float) -> "GaugeStep":
        """The same over another MD time; the integrator keeps its number of steps."""
        return replace(self, length=self.length * factor)

    def init(self, links: Tensor) -> State:
        """State at `links`: S, and no force, which GPT keeps to itself."""
        return State(links, self.action(links), None)

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """GPT integrates from (state, momenta) over `length`; from no numbers it gets nowhere."""
        zero = momenta.new_zeros(len(momenta)).real
        if not (everywhere_finite(state.links) and everywhere_finite(momenta)):
            lost = torch.full_like(momenta, torch.nan)
            return Trajectory(lost, lost, zero, None, 0)
        write(state.links, self.U, GROUP)
        from_momenta(momenta, self.pi)
        with holding(None):
            self.integrator(self.length)
        return Trajectory(read(self.U, GROUP), 1j * read(self.pi, ALGEBRA), zero, None, self.forces)

    def refreshed(self, state: State, generator: Generators) -> State:
        """The state: a gauge action has no noise."""
        return state

    def moved(self, state: State, momenta: Tensor, generator: Generators) -> tuple[State, Info]:
        """Where a trajectory takes (state, momenta), and its dH."""
        return markov.moved(self, state, momenta, generator)

    def there_and_back(self, state: State, momenta: Tensor, generator: Generators) -> Tensor:
        """The links after a trajectory and its inverse, those of `state` but for rounding."""
        return markov.there_and_back(self, state, momenta, generator)

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact Markov step."""
        return markov.step(self, state, generator)

    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """(links', dH, Info) for a host that accepts itself."""
        return markov.propose_links(self, links, generator)


def gauge_step(integrator: Callable[[float], Any], U: Sequence[Any], pi: Sequence[Any],
               action: Any, forces: int = 0) -> GaugeStep:
    """GPT's own integrator as the innermost step of a nested one.

    integrator(tau) moves U and pi, two fields of its own, over MD time tau (symplectic.OMF2(...)
    with update_p, update_q); it must be symmetric, as all of GPT's are. action: the gauge action it
    integrates. forces: how many it computes each time, for the records. Raises ActionError for
    fields that are not four lattices each.
    """
    if len(U) != 4 or len(pi) != 4:
        raise ActionError(f"GPT integrator: expected U and pi of four lattices, found {len(U)} and "
                          f"{len(pi)}")

    def value(links: Tensor) -> float:
        write(links, U, GROUP)
        with holding(None):
            return float(np.real(action(U)))

    return GaugeStep(integrator, U, pi, HostAction(value), forces=forces)
