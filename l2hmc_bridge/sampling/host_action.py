"""Any host's action S(U), with fermions or without, as the action of our kernels.

A host is a code that runs the stream: GPT, PyQUDA, a numpy script. It can use a kernel in two ways.

Host accepts. Only we know the momenta and the Jacobian, so they come with the proposal:

    moved, _, info = kernel.propose(links, generator)
    h0, h1 = S_host(links), S_host(moved) + info.delta_proposal      # + dK - log|J|
    accept with probability min(1, exp(h0 - h1))

Our accept, host's action. The kernel proposes with its own force, S_host decides:

    kernel = Hosted(kernel, HostAction(S_host))
    state, info = kernel.step(kernel.init(links), generator)

Both are exact for any force: a proposal (U, P) -> (U', -P') is its own inverse, with log|J| known,
whatever function of U alone pushes P; e^{-S - K} enters in accept/reject only. A wrong force costs
acceptance. What does spoil exactness is an S that changes between its two evaluations: see refresh.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import agreement
from l2hmc_bridge.fields.layout import extents
from l2hmc_bridge.fields.su3 import project_algebra
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators
from l2hmc_bridge.sampling.markov import Info, Proposer, State, Trajectory
from l2hmc_bridge.sampling.seen import along
from l2hmc_bridge.systems.actions import Action, cold_start
from l2hmc_bridge.systems.checks import check_field

ALGEBRA_BOUND = 1e-4  # of the largest entry; single-precision hosts stay below 1e-6

Refresh = Callable[[Tensor, Generators], Any]


class HostAction:
    """S(U) of a host, and its force if it has one; the Action of any kernel.

    action(links) -> Nb real numbers, float64 (one number where Nb = 1); force(links) -> F like
    links, d/ds S(exp(s X) U) = <X, F> with <X, Y> = -2 tr X Y, so F = i G for a Hermitian gradient
    G = sum_a t_a dS/da of a code with tr t_a t_b = 1/2. refresh(links, generator) redraws the noise
    of S (pseudofermions) given U: it is called once at the start of every trajectory, after which
    nothing computed before is used. Between two calls S must be a function of U alone.

    beta is what networks trained for several couplings take as theirs.
    Raises ActionError, at use, for a result that is complex, NaN, not float64 or of another shape;
    in all processes that share the lattice, also for what the host raises in one.
    """

    def __init__(self, action: Callable[[Tensor], Any],
                 force: Callable[[Tensor], Any] | None = None, refresh: Refresh | None = None,
                 beta: float = 0.0, group: str = "su3"):
        self._action, self._force, self._refresh = action, force, refresh
        self.beta, self.group = beta, group

    def __call__(self, links: Tensor) -> Tensor:
        """S of each configuration, float64 [Nb]; NaN if the links are not finite."""
        finite, safe = finite_chains(links)
        values = agreement.settled("host action",
                                   lambda: numbers_of(self._action(safe), len(links)), links)
        values = agreement.of_all(values, links).to(links.device)
        if values[finite].isnan().any():
            raise ActionError("host action: expected a number for finite links, found NaN")
        return torch.where(finite, values, torch.nan)

    def force(self, links: Tensor) -> Tensor:
        """F, like links; NaN if the links are not finite."""
        if (ask := self._force) is None:
            raise ActionError(
                "host action: expected a force, found none; HostAction(S, force) takes one, and "
                "Hosted(kernel, HostAction(S)) lets a kernel propose with its own")
        finite, safe = finite_chains(links)
        force = agreement.settled(
            "host force", lambda: field_of(ask(safe), links, self.group), links)
        if agreement.anywhere(~force[finite].isfinite().all(), links):
            raise ActionError("host force: expected numbers for finite links, found NaN or inf")
        return torch.where(along(finite, links), force, torch.nan)

    def at(self, beta: float) -> "HostAction":
        """This action, if beta is the one it states; ActionError otherwise."""
        if beta != self.beta:
            raise ActionError(f"host action: expected beta {self.beta:g}, the one it is known at, "
                              f"found {beta:g}")
        return self

    @property
    def noisy(self) -> bool:
        """Whether S has noise, and is unknown before it is drawn."""
        return self._refresh is not None

    def refresh(self, links: Tensor, generator: Generators) -> bool:
        """Redraw the noise given `links`; False, and nothing done, where this S has none."""
        if (draw := self._refresh) is None:
            return False
        agreement.settled("host action's noise", lambda: draw(links, generator), links)
        return True


@dataclass(frozen=True)
class Hosted:
    """`kernel` proposes with its own action and force, `action` decides: exact for `action`.

    State carries S of `action` and the force of the kernel's own. Raises ActionError if the two
    live on different groups, and for a heat bath or a mixture, which have no trajectory.
    """

    kernel: Proposer
    action: Action

    def __post_init__(self):
        ours, theirs = self.kernel.action.group, self.action.group
        if ours != theirs:
            raise ActionError(f"host action: expected the kernel's group {ours}, found {theirs}")
        if not hasattr(self.kernel, "trajectory"):
            raise ActionError("host action: expected a kernel of trajectories (HMC, L2HMC), found "
                              f"{self.kernel.name!r}")

    @property
    def guide(self) -> Action:
        """What the kernel's own trajectories begin with."""
        return self.kernel.guide

    @property
    def name(self) -> str:
        """What its updates are called: as those of the kernel."""
        return self.kernel.name

    @property
    def length(self) -> float:
        """MD time of one trajectory."""
        return self.kernel.length

    def check(self, links: Tensor) -> None:
        """LayoutError unless the kernel fits the lattice of `links`."""
        self.kernel.check(links)

    def scaled(self, factor: float) -> "Hosted":
        """The same with every step multiplied by `factor`."""
        return replace(self, kernel=self.kernel.scaled(factor))

    def init(self, links: Tensor) -> State:
        """State at `links`: S of the host (NaN if a step is yet to draw its noise), and force of
        the guide; BridgeError for no field.
        """
        check_field(links, self.action)
        self.check(links)
        return markov.state_at(self, links, drawn=False)

    @property
    def involutive(self) -> bool:
        """Whether a trajectory with its end's momenta reversed is its own inverse."""
        return self.kernel.involutive

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """The kernel's own."""
        return self.kernel.trajectory(state, momenta, generator)

    def there_and_back(self, state: State, momenta: Tensor, generator: Generators) -> Tensor:
        """The links after a trajectory and its inverse, those of `state` but for rounding."""
        return self.kernel.there_and_back(state, momenta, generator)

    def refreshed(self, state: State, generator: Generators) -> State:
        """The state after the action redrew its noise, if it has any."""
        return markov.refreshed(self, state, generator)

    def moved(self, state: State, momenta: Tensor, generator: Generators) -> tuple[State, Info]:
        """Where a trajectory takes (state, momenta), and its dH."""
        return markov.moved(self, state, momenta, generator)

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact Markov step for e^{-S_host}; BridgeError if `state` holds no field."""
        check_field(state.links, self.action)
        return markov.step(self, state, generator)

    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """(links', dK + dS_host - log|J|, Info) for a host that accepts itself.

        BridgeError as `init`.
        """
        check_field(links, self.action)
        return markov.propose_links(self, links, generator)


def finite_chains(links: Tensor) -> tuple[Tensor, Tensor]:
    """(which chains have finite links, links with the other chains replaced by the unit field).

    A trajectory may diverge; a host's solver is never handed NaN, and the step is then a reject.
    """
    finite = ~agreement.anywhere(~links.flatten(1).isfinite().all(1), links)
    if finite.all():
        return finite, links
    unit = cold_start(extents(links)).to(links) if links.is_complex() else links.new_zeros(())
    return finite, torch.where(along(finite, links), links, unit)


def numbers_of(value: Any, chains: int) -> Tensor:
    """What a host's action returned as float64 [chains], or ActionError."""
    expected = f"host action: expected {chains} real number(s) in float64 ([{chains}])"
    kind = type(value).__name__
    try:
        value = np.asarray(value) if isinstance(value, list | tuple) else value  # in double
        value = torch.tensor(float(value), dtype=torch.float64) if isinstance(value, int | float) \
            else torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ActionError(f"{expected}, found {kind}") from error
    if value.is_complex():
        raise ActionError(f"{expected}, found complex ones; where the imaginary part is rounding, "
                          "return the real part")
    if value.dtype != torch.float64:
        raise ActionError(f"{expected}, found {value.dtype}; dS would be lost in rounding: sum in "
                          "double precision")
    if value.ndim == 0 and chains == 1:
        value = value[None]
    if tuple(value.shape) != (chains,):
        raise ActionError(f"{expected}, found shape {list(value.shape)}")
    return value.detach()


def field_of(value: Any, links: Tensor, group: str) -> Tensor:
    """What a host's force returned, like links and in the algebra, or ActionError."""
    try:
        force = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ActionError(f"host force: expected an array like the links, found "
                          f"{type(value).__name__}") from error
    if force.shape != links.shape or force.is_complex() != links.is_complex():
        raise ActionError(f"host force: expected {links.dtype} {list(links.shape)}, found "
                          f"{force.dtype} {list(force.shape)}")
    force = force.to(links)
    if group != "su3":
        return force
    projected = project_algebra(force)
    off, size = (force - projected).abs().max(), force.abs().max()
    if off > ALGEBRA_BOUND * size:
        way_out = ("it is Hermitian: F = i G" if (force - force.mH).abs().max() < off
                   else "project it")
        raise ActionError("host force: expected traceless anti-Hermitian matrices, found a part "
                          f"{float(off / size):.1e} of it that is not ({way_out})")
    return projected
