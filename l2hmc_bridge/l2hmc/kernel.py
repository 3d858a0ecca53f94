"""The learned kernel, sibling of HMC: kicks and drifts with networks, exact inverse and Jacobian.

Phi = K_0 D_1 K_1 ... D_n K_n. A kick K_k between two drifts is the closing half kick of one
leapfrog layer and the opening half kick of the next: both see the same U, so together they are one
affine map of P (h = e/2 gives the half kick of the slides). Half kicks at the ends.

    Gamma+   P' = P e^{h s} - h [F e^{2 h q} + t],            log|J| = sum 8 h s
    Gamma-   P  = e^{-h s} {P' + h [F e^{2 h q} + t]}
    Lambda+  U_A' = exp(e [P_A e^{e q} + t]) U_A,             log|J| = 0
    Lambda-  U_A  = exp(-e [P_A e^{e q} + t]) U_A'

with (s, q, t) = KickNetwork(U, F) and (q, t) = DriftNetwork(frozen U_B, P), A running through all
link subsets, or one a drift in turn while the rest moves by exp(e P). An elementwise s_U has no
meaning on SU(3): there it is the field transformation F around the whole (transformed.py). Where it
has one (angles, R^n) the drift is that of networks/elementwise.py, with s and its log|J|; the 8 of
the kick is then 1, all else is the same. An engine computes the sub-steps (`reference.py` in torch,
`compiled.py` on the compiled kernels, `planar.py` and `planar_networks.py` on a GPU); here is their
order.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.layout import check_like
from l2hmc_bridge.l2hmc.engine import Engine
from l2hmc_bridge.l2hmc.engines import engine_for
from l2hmc_bridge.l2hmc.transformed import Guide, TransformedAction
from l2hmc_bridge.networks.covariant import MomentumMixing, Steps
from l2hmc_bridge.networks.parts import DriftPart, KickPart
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.draws import Generators, draw_uniform
from l2hmc_bridge.sampling.markov import Info, State, Trajectory
from l2hmc_bridge.sampling.seen import Seen, joined as joined_seen, of_rows
from l2hmc_bridge.systems.actions import Action
from l2hmc_bridge.systems.checks import check_field

COMPOSITIONS = ("palindrome", "direction")


@dataclass(frozen=True)
class L2HMC:
    """An exact Markov kernel with trained steps and networks; all networks None or zero: HMC.

    composition "palindrome" proposes Phi, flip, Phi^-1, flip (MD time 2 `steps.length`), `repeats`
    times in a row: each is reversible, so the chain of them is; "direction" proposes Phi or Phi^-1
    with probability 1/2 each. `scale` multiplies every step size. With a `transformation` F all of
    it runs in V = F^-1(U) under S(F(V)) - log|J_F(V)|, and U' = F(V') (transformed.py).
    Raises ConfigError for an unknown composition or number of repeats.
    """

    action: Action
    steps: Steps
    kick_network: KickPart | None = None
    drift_network: DriftPart | None = None
    mixing: MomentumMixing | None = None
    composition: str = "palindrome"
    scale: float = 1.0
    repeats: int = 1
    transformation: FieldTransformation | None = None

    def __post_init__(self):
        if self.repeats < 1 or (self.repeats > 1 and self.composition != "palindrome"):
            raise ConfigError(f"repeats: expected at least 1, and 1 but for a palindrome, "
                              f"found {self.repeats} with {self.composition!r}")
        if self.composition not in COMPOSITIONS:
            raise ConfigError(
                f"composition: expected one of {COMPOSITIONS}, found {self.composition!r}"
            )

    def forward(self, at: Engine, closed: bool = True) -> None:
        """Phi: kick, then drift and kick in turn; without the last kick unless `closed`."""
        at.kick(0)
        for k in range(1, self.layers + 1):
            at.drift(k - 1, 1)
            if closed or k < self.layers:
                at.kick(k)

    def inverse(self, at: Engine, closed: bool = True) -> None:
        """Phi^-1: the same undone, last first; without its first kick unless `closed`."""
        for k in range(self.layers, 0, -1):
            if closed or k < self.layers:
                at.unkick(k)
            at.drift(k - 1, -1)
        at.unkick(0)

    def palindrome(self, at: Engine) -> None:
        """Phi, flip, Phi^-1, flip, `repeats` times; last kick, flip and first unkick are a turn."""
        for _ in range(self.repeats):
            self.forward(at, closed=False)
            at.turn()
            self.inverse(at, closed=False)
            at.flip()

    def directed(self, links: Tensor, momenta: Tensor, force: Tensor, sign: int,
                 seen: Seen | None = None) -> Trajectory:
        """Phi (sign 1) or Phi^-1 (sign -1) from (U, P)."""
        at = self.enter(links, momenta, force, seen)
        (self.forward if sign > 0 else self.inverse)(at)
        return at.leave()

    @property
    def involutive(self) -> bool:
        """Whether a trajectory with its end's momenta reversed is its own inverse."""
        return self.composition == "palindrome"

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """The proposal from (state, momenta), with log|J| and the force at its end."""
        force = self.force_of(state)
        if self.composition == "palindrome":
            at = self.enter(state.links, momenta, force, state.seen)
            self.palindrome(at)
            return at.leave()
        plus = draw_uniform(len(momenta), generator) < 0.5
        chains = [(rows, sign) for rows, sign in ((plus.nonzero()[:, 0], 1),
                                                  ((~plus).nonzero()[:, 0], -1)) if len(rows)]
        parts = [self.directed(state.links[rows], momenta[rows], force[rows], sign,
                               of_rows(state.seen, rows))
                 for rows, sign in chains]
        order = torch.cat([rows for rows, _ in chains]).argsort().to(momenta.device)
        return joined(parts, order)

    @property
    def layers(self) -> int:
        """Drifts of one pass."""
        return len(self.steps.drifts)

    def enter(self, links: Tensor, momenta: Tensor, force: Tensor, seen: Seen | None = None
              ) -> Engine:
        """A trajectory at (U, P), on the engine that serves this kernel there; LayoutError unless
        P and the force are like U.
        """
        check_like("momenta", momenta, links)
        check_like("force", force, links)
        return engine_for(self, links).enter(self, links, momenta, force, seen)

    def force_of(self, place: State | Trajectory) -> Tensor:
        """The guide's force that a state or the end of a trajectory carries, or at its links."""
        return self.guide.force(place.links) if place.force is None else place.force

    @property
    def name(self) -> str:
        """What its updates are called."""
        return "l2hmc"

    @property
    def guide(self) -> Action:
        """The action whose force State carries; of a transformed kernel S(F(V)) - log|J_F(V)|."""
        if self.transformation is None:
            return self.action
        return Guide(TransformedAction(self.action, self.transformation))

    def within(self) -> "L2HMC":
        """The kernel of V = F^-1(U) under S(F(V)) - log|J_F(V)|; itself without F."""
        if self.transformation is None:
            return self
        moving = TransformedAction(self.action, self.transformation)
        return replace(self, action=moving, transformation=None)

    @property
    def length(self) -> float:
        """MD time of one trajectory."""
        passes = 2 * self.repeats if self.composition == "palindrome" else 1
        return passes * self.scale * float(self.steps.length.detach())

    def scaled(self, factor: float) -> "L2HMC":
        """The same with every step multiplied by `factor`."""
        return replace(self, scale=self.scale * factor)

    def effective(self) -> tuple[Tensor, Tensor, Tensor]:
        """Kicks, drifts and displacements times the powers of `scale` that keep the scheme."""
        kicks, drifts, displacements = self.steps.effective()
        return self.scale * kicks, self.scale * drifts, self.scale**2 * displacements

    def check(self, links: Tensor) -> None:
        """LayoutError if a network or its masks do not fit the lattice of `links`."""
        for network in (self.kick_network, self.drift_network, self.transformation):
            if network is not None:
                network.check(links)

    def init(self, links: Tensor) -> State:
        """State at `links`; LayoutError if a network or its masks do not fit the lattice.

        BridgeError for links that are no field of the action's group. S of a noisy action is NaN
        until a step draws the noise.
        """
        check_field(links, self.action)
        self.check(links)
        return markov.state_at(self, links, drawn=False)

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
        """(links', dH_effective = dK + dS - log|J|, Info) for a host that accepts itself.

        BridgeError as `init`.
        """
        check_field(links, self.action)
        return markov.propose_links(self, links, generator)

    def there_and_back(self, state: State, momenta: Tensor, generator: Generators) -> Tensor:
        """The links after a trajectory and its inverse, those of `state` but for rounding."""
        if self.composition == "palindrome":
            return markov.there_and_back(self, state, momenta, generator)
        end = self.directed(state.links, momenta, self.force_of(state), 1)
        return self.directed(end.links, end.momenta, self.force_of(end), -1).links


def joined(parts: list[Trajectory], order: Tensor) -> Trajectory:
    """Trajectories of parts of a batch as that of the whole, chains in the order of the batch."""
    def of_all(values: list[Tensor | None]) -> Tensor | None:
        known = [one for one in values if one is not None]
        return torch.cat(known)[order] if len(known) == len(parts) else None

    return Trajectory(torch.cat([part.links for part in parts])[order],
                      torch.cat([part.momenta for part in parts])[order],
                      torch.cat([part.log_det for part in parts])[order],
                      of_all([part.force for part in parts]), parts[0].force_evaluations,
                      seen=joined_seen([part.seen for part in parts], order),
                      action=of_all([part.action for part in parts]),
                      delta_kinetic=of_all([part.delta_kinetic for part in parts]))
