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
    _kept: dict = field(default_factory=dict)  # what serves the whole trajectory
    _displaced: dict = field(default_factory=dict)

    @classmethod
    def enter(cls, kernel, links: Tensor, force: float) -> "CompiledPoint":
        """The point at torch links with the force that is known there."""
        lattice = native.lattice_of(links)
        point = cls(kernel, lattice, blocked.links_in(lattice, links))
        point._kept["zero"] = point.blocks.new_zeros(len(links))
        # The loop traces of this field are the kick network's own work, not a force anew.
        seen = ()
        if kernel.kick_network is not None:
            spare, *seen = point._force
            SCRATCH.give(spare)
        point.__dict__["_force"] = (blocked.algebra_in(lattice, force), *seen)
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
        return blocked.algebra_out(self.lattice, self._force[0])

    @cached_property
    def _force(self) -> tuple[Tensor, ...]:
        """The force; with a kick network what it sees, and V of its loop "square" if it has one."""
        action, network = self.kernel.action, self.kernel.kick_network
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

    def kick(self, k: int, h: float, displacement: float, momenta: Tensor, inverse: bool
             ) -> tuple[Tensor, Tensor]:
        """Gamma+ or Gamma- with its log|J| [Nb]; overwrites `momenta`."""
        network, mixing = self.kernel.kick_network, self.kernel.mixing
        if network is None and mixing is None:
            return self._plain_kick(k, -h if inverse else h, displacement, momenta)
        net = None if network is None else self._cached(_kick_weights, network, k)
        push = self._push(k, net, displacement)
        spare = ()
        if mixing is not None:
            if net is not None:
                whole, scale = spare = self._room(native.ALGEBRA), self._room(1)
                learned.kick(self.lattice, push, h, None, out=whole, keep_scale=scale)
                push = learned.Push(self.blocks, force=whole, scale=scale)
            push = push._replace(mixing=float(mixing.coefficient))
        result = learned.kick(self.lattice, push, h, momenta, inverse, out=momenta)
        SCRATCH.give(*spare)
        return result

    def _plain_kick(self, k: int, h: float, displacement: float, momenta: Tensor
                    ) -> tuple[Tensor, Tensor]:
        """P - h F, and log|J| = 0."""
        action = self.kernel.action
        if self._passing(k):
            blocked.kick(self.lattice, momenta, self.blocks, action.beta, action.c1, h, out=momenta)
        else:
            momenta.sub_(self._pushing(k, displacement), alpha=h)
        return momenta, self._kept["zero"]

    def _push(self, k: int, net: learned.Network | None, displacement: float) -> learned.Push:
        """F e^{2 h^2 q} + t of kick k, with a force that may never leave the registers."""
        action, network = self.kernel.action, self.kernel.kick_network
        if self._passing(k):
            names = () if network is None else network.loops
            square = names.index("square") if "square" in names else -1
            return learned.Push(self.blocks, net, beta=action.beta, c1=action.c1, square=square)
        if net is None:
            return learned.Push(self.blocks, force=self._pushing(k, displacement))
        return learned.Push(self.blocks, net, self._pushing(k, displacement), self._force[1],
                            self._force[0], self._loops)

    def _cached(self, make, network, k: int) -> learned.Network:
        """Number k of make(network, beta), which is called once per trajectory."""
        if make not in self._kept:
            self._kept[make] = make(network, self.kernel.action.beta)
        return self._kept[make][k]

    def _passing(self, k: int) -> bool:
        """Whether nothing but this kick, between two drifts, needs the force of this point."""
        kernel, network = self.kernel, self.kernel.kick_network
        local = kernel.mixing is None if network is None else LOCAL.issuperset(network.loops)
        return (local and not kernel.steps.displaced[k] and "_force" not in self.__dict__
                and 0 < k < len(kernel.steps.kicks) - 1)

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
        else:
            net = self._cached(_drift_weights, network, k) if network else None
            share = float(mixing.coefficient) if mixing is not None else 0.0
            for mu, odd, alive in subsets:
                learned.drift(self.lattice, net if alive else None, mu, odd, e, sign, share,
                              momenta, self.blocks)
        SCRATCH.give(*self.__dict__.pop("_force", ()))
        return CompiledPoint(self.kernel, self.lattice, self.blocks, self.evaluations + 1,
                             self._kept)


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
    return learned.networks(inputs, offset, network.weight, network.bias)
