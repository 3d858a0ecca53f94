"""One field of a trajectory on the compiled kernels, with what was computed on it.

A `CompiledPoint` stands in for a `Point` from the start of a trajectory to its end: links, force
and momenta stay in the kernels' layout, each kick or drift is one or two passes over the lattice.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.actions import GaugeAction
from l2hmc_bridge.fast import blocked, learned, native
from l2hmc_bridge.fast.scratch import SCRATCH
from l2hmc_bridge.networks import DriftNetwork, KickNetwork, MomentumMixing

PARTS = (("kick_network", KickNetwork), ("drift_network", DriftNetwork),
         ("mixing", MomentumMixing))
LOOPS = {"laplacian", "rectangle", "square"}
LOCAL = {"square"}  # made of what the force kernel holds in registers


def serves(kernel, links: Tensor) -> bool:
    """Whether this kernel's map at these links can run here: known parts, no gradients."""
    parts = [(getattr(kernel, name), kind) for name, kind in PARTS]
    return (
        type(kernel.action) is GaugeAction
        and all(part is None or type(part) is kind for part, kind in parts)
        and (kernel.kick_network is None or LOOPS.issuperset(kernel.kick_network.loops))
        and not torch.is_grad_enabled()
        and fast.compiled(links)
    )


@dataclass
class CompiledPoint:
    """One field of a trajectory in the blocked layout with what was computed on it."""

    kernel: object
    lattice: native.Lattice
    blocks: Tensor  # links; the next drift overwrites them
    evaluations: int = 0
    given: Tensor | None = None  # the force, where it is known without `_force`
    squares: learned.Squares | None = None  # of the staples of the subset that moves next
    _kept: dict = field(default_factory=dict)  # what serves the whole trajectory
    _displaced: dict = field(default_factory=dict)

    @classmethod
    def enter(cls, kernel, links: Tensor, force: Tensor) -> "CompiledPoint":
        """The point at torch links with the force that is known there."""
        lattice = native.lattice_of(links)
        point = cls(kernel, lattice, blocked.links_in(lattice, links))
        point._kept["zero"] = point.blocks.new_zeros(len(links))
        point.given = blocked.algebra_in(lattice, force)
        return point

    def momenta_in(self, momenta: Tensor) -> Tensor:
        """Torch momenta -> the layout of this point."""
        return blocked.algebra_in(self.lattice, momenta)

    def momenta_out(self, momenta: Tensor) -> Tensor:
        """The inverse of `momenta_in`."""
        return blocked.algebra_out(self.lattice, momenta)

    def flipped(self, momenta: Tensor) -> Tensor:
        """-P, in place."""
        return momenta.neg_()

    def numbers(self, steps: tuple[Tensor, ...]) -> tuple[list[float], ...]:
        """Step sizes as plain numbers: a kernel call costs less than an operation of torch."""
        return tuple(one.tolist() for one in steps)

    @property
    def links(self) -> Tensor:
        """In the torch layout."""
        return blocked.links_out(self.lattice, self.blocks)

    @property
    def force(self) -> Tensor:
        """In the torch layout."""
        known = self._force[0] if self.given is None else self.given
        return blocked.algebra_out(self.lattice, known)

    @cached_property
    def _force(self) -> tuple[Tensor, ...]:
        """The force; with a kick network what it sees, and V of its loop "square" if it has one."""
        action, network = self.kernel.action, self.kernel.kick_network
        if network is None and self.given is not None:
            return (self.given,)
        out = self._room(native.ALGEBRA)
        if network is None:
            return (blocked.force(self.lattice, self.blocks, action.beta, action.c1, out=out),)
        seen = self._room(2)
        square = (self._room(native.ALGEBRA),) if "square" in network.loops else ()
        blocked.force_and_invariants(self.lattice, self.blocks, action.beta, action.c1, out, seen,
                                     *square)
        return (out, seen, *square)

    def _room(self, width: int) -> Tensor:
        return SCRATCH.take(self.lattice.field(len(self.blocks), width), self.lattice.dtype)

    @cached_property
    def _loops(self) -> tuple[Tensor | None, ...]:
        """V_l of the kick network; the Laplacian of the force is made where it is used."""
        made = {"laplacian": lambda: None, "rectangle": self._rectangle,
                "square": lambda: self._force[2]}
        return tuple(made[name]() for name in self.kernel.kick_network.loops)

    def _rectangle(self) -> Tensor:
        # TA(U A^rect): the force at beta = 6 is TA(U [(1 - 8 c1) A + c1 A^rect]).
        both = blocked.force(self.lattice, self.blocks, 6.0, 1.0)
        return both.add_(blocked.force(self.lattice, self.blocks, 6.0, 0.0), alpha=7.0)

    def kick(self, k: int, h: float, displacement: float, momenta: Tensor, mode: int
             ) -> tuple[Tensor, Tensor]:
        """Gamma+, Gamma- or the turn with its log|J| [Nb]; overwrites `momenta`."""
        network, mixing = self.kernel.kick_network, self.kernel.mixing
        if network is None and mixing is None and self.kernel.drift_network is None:
            return self._plain_kick(k, h, displacement, momenta, mode)
        net = None if network is None else self._cached(_kick_weights, network, k)
        push = self._push(k, net, displacement, mode)
        spare, keep = (), None
        if push.force is None:
            self.squares = self._next_subset(k, mode)
            push = push._replace(wanted=self.squares)
        if push.force is None and self.given is None and self._handed_on(k, mode):
            keep = self.given = self._room(native.ALGEBRA)
        if mixing is not None:
            if net is not None:
                whole, scale = spare = self._room(native.ALGEBRA), self._room(1)
                learned.kick(self.lattice, push, h, None, out=whole, keep_scale=scale,
                             keep_force=keep)
                push, keep = learned.Push(self.blocks, force=whole, scale=scale), None
            push = push._replace(mixing=float(mixing.coefficient))
        result = learned.kick(self.lattice, push, h, momenta, mode, momenta, keep_force=keep)
        SCRATCH.give(*spare)
        return result

    def _plain_kick(self, k: int, h: float, displacement: float, momenta: Tensor, mode: int
                    ) -> tuple[Tensor, Tensor]:
        """P - h F, P + h F or 2 h F - P, and log|J| = 0."""
        action = self.kernel.action
        sign, step = ((1.0, h), (1.0, -h), (-1.0, -2 * h))[mode]
        if self._passing(k, mode):
            blocked.kick(self.lattice, momenta, self.blocks, action.beta, action.c1, step, sign,
                         out=momenta)
        else:
            momenta = momenta if sign > 0 else momenta.neg_()
            momenta.sub_(self._pushing(k, displacement), alpha=step)
        return momenta, self._kept["zero"]

    def _push(self, k: int, net: learned.Network | None, displacement: float, mode: int
              ) -> learned.Push:
        """F e^{2 h^2 q} + t of kick k, with a force that may never leave the registers."""
        action, network = self.kernel.action, self.kernel.kick_network
        if self._passing(k, mode):
            names = () if network is None else network.loops
            square = names.index("square") if "square" in names else -1
            return learned.Push(self.blocks, net, beta=action.beta, c1=action.c1, square=square)
        if net is None:
            return learned.Push(self.blocks, force=self._pushing(k, displacement))
        return learned.Push(self.blocks, net, self._pushing(k, displacement), self._force[1],
                            self._force[0], self._loops)

    def _next_subset(self, k: int, mode: int) -> learned.Squares | None:
        """Room for the squares of the links that move first after this kick, if with the network."""
        network = self.kernel.drift_network
        k, sign = (k, 1) if mode == learned.FORWARD else (k - 1, -1)
        if network is None or network.subsets != "turn" or not 0 <= k < len(
                self.kernel.steps.drifts):
            return None
        mu, odd, first = self.kernel.subsets(k, sign)[0]
        shape = (len(self.blocks), self.lattice.blocks, self.lattice.lanes)
        return learned.Squares(mu, odd, SCRATCH.take(shape, self.lattice.dtype)) if first else None

    def _cached(self, make, network, k: int) -> learned.Network:
        """Number k of make(network, beta), which is called once per trajectory."""
        if make not in self._kept:
            self._kept[make] = make(network, self.kernel.action.beta)
        return self._kept[make][k]

    def _passing(self, k: int, mode: int) -> bool:
        """Whether the force of this point may stay in the registers of this kick.

        Without a network the kick must be the only one to need it; with one, what the network sees
        comes along with the force and costs as much by itself.
        """
        kernel, network = self.kernel, self.kernel.kick_network
        if kernel.steps.displaced[k] or "_force" in self.__dict__:
            return False
        if network is not None:
            return LOCAL.issuperset(network.loops)
        if kernel.drift_network is not None and kernel.mixing is None:
            return self.given is None
        return kernel.mixing is None and not self._handed_on(k, mode)

    def _handed_on(self, k: int, mode: int) -> bool:
        """Whether this kick may be the end of a trajectory, which hands its force on."""
        return mode != learned.TURN and k in (0, len(self.kernel.steps.drifts))

    def _pushing(self, k: int, displacement: float) -> Tensor:
        """F, or F(exp(-g F) U) where kick k has a displacement g."""
        if not self.kernel.steps.displaced[k]:
            return self._force[0]
        if k not in self._displaced:
            action = self.kernel.action
            moved = blocked.drift(self.lattice, self._force[0], self.blocks, -displacement)
            self._displaced[k] = blocked.force(self.lattice, moved, action.beta, action.c1)
            self.evaluations += 1
        return self._displaced[k]

    def drift(self, k: int, e: float, momenta: Tensor, sign: int, subsets) -> "CompiledPoint":
        """Lambda+ (sign 1) or Lambda- (sign -1); this point is used up."""
        network, mixing = self.kernel.drift_network, self.kernel.mixing
        if network is None and mixing is None:
            blocked.drift(self.lattice, momenta, self.blocks, sign * e, out=self.blocks)
        elif mixing is None and network.subsets == "turn":
            self._drift_in_turn(k, e, momenta, sign, subsets)
        else:
            net = self._cached(_drift_weights, network, k) if network else None
            share = 0.0 if mixing is None else float(mixing.coefficient)
            for n, (mu, odd, alive) in enumerate(subsets):
                learned.drift(self.lattice, net if alive else None, mu, odd, e, sign, share,
                              momenta, self.blocks, known=self.squares if n == 0 else None)
        SCRATCH.give(*self.__dict__.pop("_force", ()))
        if self.squares is not None:
            SCRATCH.give(self.squares.of_blocks)
        return CompiledPoint(self.kernel, self.lattice, self.blocks, self.evaluations + 1,
                             _kept=self._kept)

    def _drift_in_turn(self, k: int, e: float, momenta: Tensor, sign: int, subsets) -> None:
        """One subset with the network, and all other links before or after it."""
        net = self._cached(_drift_weights, self.kernel.drift_network, k)
        (mu, odd, _), = (one for one in subsets if one[2])
        order = learned.FIRST if subsets[0][2] else learned.LAST
        learned.drift(self.lattice, net, mu, odd, e, sign, 0.0, momenta, self.blocks, order,
                      self.squares)


def _kick_weights(network: KickNetwork, beta: float) -> list[learned.Network]:
    """Inputs Re tr(U A)/18, <F,F>/(8 beta) and beta - 6, the last one folded into the offset."""
    return _weights(network, (1 / 18, 1 / (8 * max(beta, 1e-3))), beta)


def _drift_weights(network: DriftNetwork, beta: float) -> list[learned.Network]:
    """Inputs tr(A A^dagger)/36, <P,P>/8 and beta - 6."""
    return _weights(network, (1 / 36, 1 / 8), beta)


def _weights(network, scale: tuple[float, float], beta: float) -> list[learned.Network]:
    first = network.first.weight.detach()
    offset = network.first.bias.detach() + first[:, 2] * (beta - 6)
    inputs = first[:, :2] * torch.tensor(scale, dtype=torch.float64)
    return learned.networks(inputs, offset, network.weight, network.bias, network.activation)
