"""The learned kernel, sibling of HMC: kicks and drifts with networks, exact inverse and Jacobian.

Phi = K_0 D_1 K_1 ... D_n K_n. A kick K_k between two drifts is the closing half kick of one
leapfrog layer and the opening half kick of the next: both see the same U, so together they are one
affine map of P (h = e/2 gives the half kick of the slides). Half kicks at the ends.

    Gamma+   P' = P e^{h s} - h [F e^{2 h q} + t],            log|J| = sum 8 h s
    Gamma-   P  = e^{-h s} {P' + h [F e^{2 h q} + t]}
    Lambda+  U_A' = exp(e [P_A e^{e q} + t]) U_A,             log|J| = 0
    Lambda-  U_A  = exp(-e [P_A e^{e q} + t]) U_A'

with (s, q, t) = KickNetwork(U, F) and (q, t) = DriftNetwork(frozen U_B, P), A running through all
link subsets, or one a drift in turn while the rest moves by exp(e P). There is no s_U on group
elements: an elementwise factor has no meaning on SU(3). Where it has one (angles, R^n) the drift is
that of networks/elementwise.py, with s and its log|J|; the 8 of the kick is then 1, all else is the same.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.cpu import learned
from l2hmc_bridge.l2hmc.compiled import CompiledPoint, serves
from l2hmc_bridge.l2hmc.reference import Point, coupling
from l2hmc_bridge.networks.covariant import (
    DriftNetwork,
    KickNetwork,
    MomentumMixing,
    Steps,
    Subset,
    parity,
)
from l2hmc_bridge.networks.dense import DenseDrift, DenseKick
from l2hmc_bridge.networks.elementwise import ElementwiseDrift, ElementwiseKick
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.markov import Generators, Info, State, Trajectory
from l2hmc_bridge.systems.actions import Action
from l2hmc_bridge.systems.groups import GROUPS, Group, group_of

COMPOSITIONS = ("palindrome", "direction")


@dataclass(frozen=True)
class L2HMC:
    """An exact Markov kernel with trained steps and networks; all networks None or zero: HMC.

    composition "palindrome" proposes Phi, flip, Phi^-1, flip (MD time 2 `steps.length`), `repeats`
    times in a row: each is reversible, so the chain of them is; "direction" proposes Phi or Phi^-1
    with probability 1/2 each. `scale` multiplies every step size.
    Raises ConfigError for an unknown composition or number of repeats.
    """

    action: Action
    steps: Steps
    kick_network: KickNetwork | DenseKick | ElementwiseKick | None = None
    drift_network: DriftNetwork | DenseDrift | ElementwiseDrift | None = None
    mixing: MomentumMixing | None = None
    composition: str = "palindrome"
    scale: float = 1.0
    repeats: int = 1

    def __post_init__(self):
        if self.repeats < 1 or (self.repeats > 1 and self.composition != "palindrome"):
            raise ConfigError(f"repeats: expected at least 1, and 1 but for a palindrome, "
                              f"found {self.repeats} with {self.composition!r}")
        if self.composition not in COMPOSITIONS:
            raise ConfigError(
                f"composition: expected one of {COMPOSITIONS}, found {self.composition!r}"
            )

    @property
    def length(self) -> float:
        """MD time of one trajectory."""
        passes = 2 * self.repeats if self.composition == "palindrome" else 1
        return passes * self.scale * float(self.steps.length.detach())

    def scaled(self, factor: float) -> "L2HMC":
        """The same with every step multiplied by `factor`."""
        return replace(self, scale=self.scale * factor)

    def init(self, links: Tensor) -> State:
        """State at `links`; LayoutError where a network or its masks do not fit the lattice."""
        for network in (self.kick_network, self.drift_network):
            if network is not None:
                network.check(links)
        return State(links, self.action(links), self.action.force(links))

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One exact Markov step."""
        return markov.step(self, state, generator)

    def propose(self, links: Tensor, generator: Generators) -> tuple[Tensor, Tensor, Info]:
        """(links', dH_effective = dK + dS - log|J|, Info) for a host that accepts itself."""
        return markov.propose_links(self, links, generator)

    def trajectory(self, state: State, momenta: Tensor, generator: Generators) -> Trajectory:
        """The proposal from (state, momenta), with log|J| and the force at its end."""
        if self.composition == "palindrome":
            point = self.start(state.links, state.force)
            end = self.palindrome(point, point.momenta_in(momenta))
            return end._replace(momenta=point.momenta_out(end.momenta))
        plus = markov.draw_uniform(len(momenta), generator) < 0.5
        parts = [
            (chosen, self.directed(self.start(state.links[chosen], state.force[chosen]),
                                   momenta[chosen], sign))
            for chosen, sign in ((plus.nonzero()[:, 0], 1), ((~plus).nonzero()[:, 0], -1))
            if len(chosen)
        ]
        order = torch.cat([chosen for chosen, _ in parts]).argsort().to(momenta.device)
        joined = [torch.cat(tensors)[order]
                  for tensors in zip(*(part[:4] for _, part in parts), strict=True)]
        return Trajectory(*joined, parts[0][1].force_evaluations)

    def palindrome(self, point: Point, momenta: Tensor) -> Trajectory:
        """Phi, flip, Phi^-1, flip, `repeats` times (with zero networks: HMC)."""
        log_det = 0.0
        for _ in range(self.repeats):
            point, momenta, there = self.forward(point, momenta, closed=False)
            momenta = self.turn(point, momenta)
            point, momenta, back = self.inverse(point, momenta, closed=False)
            momenta, log_det = point.flipped(momenta), log_det + there + back
        return Trajectory(point.links, momenta, log_det, point.force, point.evaluations)

    def directed(self, point: Point, momenta: Tensor, sign: int) -> Trajectory:
        """Phi for sign 1, Phi^-1 for sign -1."""
        phi = self.forward if sign > 0 else self.inverse
        point, momenta, log_det = phi(point, point.momenta_in(momenta))
        momenta = point.momenta_out(momenta)
        return Trajectory(point.links, momenta, log_det, point.force, point.evaluations)

    def start(self, links: Tensor, force: Tensor) -> Point | CompiledPoint:
        """The point a trajectory starts from: compiled where every part of this map is known."""
        known = all(getattr(type(self), name) is getattr(L2HMC, name)
                    for name in ("kick", "unkick", "turn", "push", "drift", "velocity"))
        kind = CompiledPoint.enter if known and serves(self, links) else Point
        return kind(self, links, force)

    def forward(self, point: Point, momenta: Tensor, closed: bool = True
                ) -> tuple[Point, Tensor, Tensor]:
        """Phi: (U, P) -> (U', P', log|J| [Nb]); without its last kick unless `closed`."""
        kicks, drifts, displacements = point.numbers(self.effective())
        momenta, *changes = self.kick(0, kicks[0], displacements[0], point, momenta)
        for k in range(1, len(kicks)):
            point, moved = self.advance(k - 1, drifts[k - 1], point, momenta, 1)
            momenta, change = (self.kick(k, kicks[k], displacements[k], point, momenta)
                               if closed or k < len(drifts) else (momenta, 0.0))
            changes += [moved, change]
        return point, momenta, point.total(changes)

    def inverse(self, point: Point, momenta: Tensor, closed: bool = True
                ) -> tuple[Point, Tensor, Tensor]:
        """Phi^-1: (U', P') -> (U, P, log|J^-1| [Nb]); without its first kick unless `closed`."""
        kicks, drifts, displacements = point.numbers(self.effective())
        changes = []
        for k in range(len(drifts), 0, -1):
            momenta, change = (self.unkick(k, kicks[k], displacements[k], point, momenta)
                               if closed or k < len(drifts) else (momenta, 0.0))
            point, moved = self.advance(k - 1, drifts[k - 1], point, momenta, -1)
            changes += [moved, change]
        momenta, change = self.unkick(0, kicks[0], displacements[0], point, momenta)
        return point, momenta, point.total([*changes, change])

    def kick(self, k: int, h: Tensor, displacement: Tensor, point: Point, momenta: Tensor):
        """Gamma+ and its log|J| [Nb]."""
        if isinstance(point, CompiledPoint):
            return point.kick(k, h, displacement, momenta, learned.FORWARD)
        push, s = self.push(k, h, displacement, point)
        if s is None:
            return momenta - h * push, momenta.new_zeros(len(momenta)).real
        group = group_of(self.action)
        return momenta * group.spread(torch.exp(h * s)) - h * push, _log_det(h * s, group)

    def unkick(self, k: int, h: Tensor, displacement: Tensor, point: Point, momenta: Tensor):
        """Gamma-, the exact inverse of `kick`, and its log|J| [Nb]."""
        if isinstance(point, CompiledPoint):
            return point.kick(k, h, displacement, momenta, learned.INVERSE)
        push, s = self.push(k, h, displacement, point)
        if s is None:
            return momenta + h * push, momenta.new_zeros(len(momenta)).real
        group = group_of(self.action)
        return (momenta + h * push) * group.spread(torch.exp(-h * s)), _log_det(-h * s, group)

    def turn(self, point: Point, momenta: Tensor) -> Tensor:
        """Last Gamma+, flip and Gamma- in one: 2 h e^{-h s} M [F e^{2 h q} + t] - P, log|J| = 0."""
        k = len(self.steps.drifts)
        h, displacement = (one[k] for one in point.numbers(self.effective())[::2])
        if isinstance(point, CompiledPoint):
            return point.kick(k, h, displacement, momenta, learned.TURN)[0]
        push, s = self.push(k, h, displacement, point)
        if s is not None:
            push = push * group_of(self.action).spread(torch.exp(-h * s))
        return 2 * h * push - momenta

    def push(self, k: int, h: Tensor, displacement: Tensor, point: Point):
        """(M [F e^{2 h q} + t], s) of kick k; s is None without a kick network."""
        force, s = point.displaced(k, displacement), None
        if self.kick_network is not None:
            s, q, t = self.kick_network(k, h, point.features())
            force = force * group_of(self.action).spread(torch.exp(2 * h * q)) + t
        if self.mixing is not None:
            force = self.mixing(point.links, force)
        return force, s

    def advance(self, k: int, e: Tensor, point: Point | CompiledPoint, momenta: Tensor,
                sign: int) -> tuple[Point | CompiledPoint, Tensor | float]:
        """The point after drift k (sign 1) or its inverse (sign -1), and log|J|."""
        if isinstance(point, CompiledPoint):
            return point.drift(k, e, momenta, sign, self.subsets(k, sign)), 0.0
        if hasattr(self.drift_network, "move"):
            links, log_det = self.drift_network.move(k, e, point.links, momenta, sign)
            return point.moved(links), log_det
        return point.moved(self.drift(k, e, point.links, momenta, sign)), 0.0

    def subsets(self, k: int, sign: int) -> tuple[Subset, ...]:
        """(direction, parity or None for both, with the network) in the order they move.

        Even drifts and odd ones go through the same order from opposite ends, as do inverses.
        """
        every = tuple((mu, None, False) for mu in range(4))
        order = every if self.drift_network is None else self.drift_network.order(k)
        return order[::-1] if (k % 2 == 0) != (sign > 0) else order

    def drift(self, k: int, e: Tensor, links: Tensor, momenta: Tensor, sign: int) -> Tensor:
        """Lambda+ (sign 1) or Lambda- (sign -1), subset after subset."""
        if self.drift_network is None and self.mixing is None:
            return group_of(self.action).drift(momenta, links, sign * e)
        for mu, odd, network in self.subsets(k, sign):
            velocity = self.velocity(k, e, links, momenta, mu, network)
            moved = fast.expm_multiply(velocity[:, None], links[:, mu, None], sign * e)[:, 0]
            if odd is not None:
                active = (parity(links) == odd)[..., None, None]
                moved = torch.where(active, moved, links[:, mu])
            links = torch.cat([links[:, :mu], moved[:, None], links[:, mu + 1:]], dim=1)
        return links

    def velocity(self, k: int, e: Tensor, links: Tensor, momenta: Tensor, mu: int,
                 network: bool) -> Tensor:
        """P e^{e q} + t of direction mu, or P, with mixing M_mu P, [Nb,Nt,Nx,Ny,Nz,3,3]."""
        velocity = momenta[:, mu]
        if self.mixing is not None:
            velocity = self.mixing.direction(links, velocity, mu)
        if network:
            change = self.drift_network(k, e, links, momenta, mu, coupling(self.action))
            velocity = velocity + change - momenta[:, mu]
        return velocity

    def effective(self) -> tuple[Tensor, Tensor, Tensor]:
        """Kicks, drifts and displacements times the powers of `scale` that keep the scheme."""
        kicks, drifts, displacements = self.steps.effective()
        return self.scale * kicks, self.scale * drifts, self.scale**2 * displacements


def _log_det(exponent: Tensor, group: Group = GROUPS["su3"]) -> Tensor:
    """All components of every momentum (eight on SU(3)) are scaled by e^exponent."""
    return group.components * exponent.flatten(1).sum(1)
