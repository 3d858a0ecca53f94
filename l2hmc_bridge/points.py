"""One field of a trajectory with what was computed on it: in torch, or on the compiled kernels.

A `CompiledPoint` stands in for a `Point` from the start of a trajectory to its end: links, force
and momenta stay in the kernels' layout, each kick or drift is one or two passes over the lattice.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.actions import Action, GaugeAction
from l2hmc_bridge.fast import blocked, learned, native
from l2hmc_bridge.fast.scratch import SCRATCH
from l2hmc_bridge.groups import group_of
from l2hmc_bridge.networks import DriftNetwork, KickNetwork, MomentumMixing

PARTS = (("kick_network", KickNetwork), ("drift_network", DriftNetwork),
         ("mixing", MomentumMixing))
LOOPS = {"laplacian", "rectangle"}


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
class Point:
    """One field of a trajectory with what was computed on it: each force exactly once."""

    kernel: object
    links: Tensor
    force: Tensor
    evaluations: int = 0
    _features: tuple | None = None
    _displaced: dict = field(default_factory=dict)

    def momenta_in(self, momenta: Tensor) -> Tensor:
        """Momenta as this point's maps take them."""
        return momenta

    momenta_out = momenta_in

    def moved(self, links: Tensor) -> "Point":
        """The next field, with its force."""
        return Point(self.kernel, links, self.kernel.action.force(links), self.evaluations + 1)

    def displaced(self, kick: int, displacement: Tensor) -> Tensor:
        """F, or F(exp(-g F) U) where kick number `kick` has a displacement g."""
        if not self.kernel.steps.displaced[kick]:
            return self.force
        if kick not in self._displaced:
            field = group_of(self.kernel.action).drift(self.force, self.links, -displacement)
            self._displaced[kick] = self.kernel.action.force(field)
            self.evaluations += 1
        return self._displaced[kick]

    def features(self) -> tuple:
        """What the kick network sees of this field."""
        if self._features is None:
            self._features = self.kernel.kick_network.features(
                self.links, self.force, coupling(self.kernel.action)
            )
        return self._features


@dataclass
class CompiledPoint:
    """One field of a trajectory in the blocked layout with what was computed on it."""

    kernel: object
    lattice: native.Lattice
    blocks: Tensor  # links; the next drift overwrites them
    evaluations: int = 0
    _displaced: dict = field(default_factory=dict)

    @classmethod
    def enter(cls, kernel, links: Tensor, force: Tensor) -> "CompiledPoint":
        """The point at torch links with the force that is known there."""
        lattice = native.lattice(tuple(links.shape[2:6]))
        point = cls(kernel, lattice, blocked.links_in(lattice, links))
        # The loop traces of this field are the kick network's own work, not a force anew.
        traces = SCRATCH.take(lattice.field(len(links), 2))
        if kernel.kick_network is not None:
            spare, _ = point._force
            traces = point.__dict__.pop("_force")[1]
            SCRATCH.give(spare)
        point.__dict__["_force"] = (blocked.algebra_in(lattice, force), traces)
        return point

    def momenta_in(self, momenta: Tensor) -> Tensor:
        """Torch momenta -> the layout of this point."""
        return blocked.algebra_in(self.lattice, momenta)

    def momenta_out(self, momenta: Tensor) -> Tensor:
        """The inverse of `momenta_in`."""
        return blocked.algebra_out(self.lattice, momenta)

    @property
    def links(self) -> Tensor:
        """The links in the torch layout."""
        return blocked.links_out(self.lattice, self.blocks)

    @property
    def force(self) -> Tensor:
        """The force in the torch layout."""
        return blocked.algebra_out(self.lattice, self._force[0])

    @cached_property
    def _force(self) -> tuple[Tensor, Tensor]:
        """The force, and what the kick network sees (not set without one)."""
        action, chains = self.kernel.action, len(self.blocks)
        out = SCRATCH.take(self.lattice.field(chains, native.ALGEBRA))
        seen = SCRATCH.take(self.lattice.field(chains, 2))
        if self.kernel.kick_network is None:
            return blocked.force(self.lattice, self.blocks, action.beta, action.c1, out=out), seen
        return blocked.force_and_invariants(self.lattice, self.blocks, action.beta, action.c1,
                                            out=out, invariants=seen)

    @cached_property
    def _loops(self) -> tuple[Tensor | None, ...]:
        """V_l of the kick network; the Laplacian of the force is made where it is used."""
        return tuple(None if name == "laplacian" else self._rectangle()
                     for name in self.kernel.kick_network.loops)

    def _rectangle(self) -> Tensor:
        # TA(U A^rect): the force at beta = 6 is TA(U [(1 - 8 c1) A + c1 A^rect]).
        both = blocked.force(self.lattice, self.blocks, 6.0, 1.0)
        return both.add_(blocked.force(self.lattice, self.blocks, 6.0, 0.0), alpha=7.0)

    def kick(self, k: int, h: Tensor, displacement: Tensor, momenta: Tensor, inverse: bool
             ) -> tuple[Tensor, Tensor]:
        """Gamma+ or Gamma- with its log|J| [Nb]; overwrites `momenta`."""
        network, mixing, action = self.kernel.kick_network, self.kernel.mixing, self.kernel.action
        net = None if network is None else _kick_weights(network, k, action.beta)
        if self._passing(k):
            push = learned.Push(self.blocks, net, beta=action.beta, c1=action.c1)
        else:
            force, seen = self._force
            loops = () if net is None else self._loops
            push = learned.Push(self.blocks, net, self._pushing(k, displacement), seen, force,
                                loops)
        if mixing is not None:
            if net is not None:
                whole, _ = learned.kick(self.lattice, push, h, None)
                push = push._replace(net=_scale_only(net), force=whole, loops=())
            push = push._replace(mixing=float(mixing.coefficient))
        return learned.kick(self.lattice, push, h, momenta, inverse, out=momenta)

    def _passing(self, k: int) -> bool:
        """Whether nothing but this kick, between two drifts, needs the force of this point."""
        kernel = self.kernel
        local = kernel.mixing is None and not (kernel.kick_network and kernel.kick_network.loops)
        return (local and not kernel.steps.displaced[k] and "_force" not in self.__dict__
                and 0 < k < len(kernel.steps.kicks) - 1)

    def _pushing(self, k: int, displacement: Tensor) -> Tensor:
        """F, or F(exp(-g F) U) where kick k has a displacement g."""
        if not self.kernel.steps.displaced[k]:
            return self._force[0]
        if k not in self._displaced:
            action = self.kernel.action
            moved = blocked.drift(self.lattice, self._force[0], self.blocks, -displacement)
            self._displaced[k] = blocked.force(self.lattice, moved, action.beta, action.c1)
            self.evaluations += 1
        return self._displaced[k]

    def drift(self, k: int, e: Tensor, momenta: Tensor, sign: int, subsets) -> "CompiledPoint":
        """Lambda+ (sign 1) or Lambda- (sign -1); this point is used up."""
        network, mixing = self.kernel.drift_network, self.kernel.mixing
        if network is None and mixing is None:
            blocked.drift(self.lattice, momenta, self.blocks, sign * float(e), out=self.blocks)
        else:
            net = _drift_weights(network, k, self.kernel.action.beta) if network else None
            share = float(mixing.coefficient) if mixing is not None else 0.0
            for mu, odd in subsets:
                learned.drift(self.lattice, net, mu, odd, e, sign, share, momenta, self.blocks)
        SCRATCH.give(*self.__dict__.pop("_force", ()))
        return CompiledPoint(self.kernel, self.lattice, self.blocks, self.evaluations + 1)


def coupling(action: Action) -> float:
    """beta of an action, 0 where it has none."""
    return float(getattr(action, "beta", 0.0))


def _kick_weights(network: KickNetwork, k: int, beta: float) -> learned.Network:
    """Inputs Re tr(U A)/18, <F,F>/(8 beta) and beta - 6, the last one folded into the offset."""
    scale = torch.tensor([1 / 18, 1 / (8 * max(beta, 1e-3))], dtype=torch.float64)
    return _weights(network, scale, network.weight[k], network.bias[k], beta)


def _drift_weights(network: DriftNetwork, k: int, beta: float) -> learned.Network:
    """Inputs tr(A A^dagger)/36, <P,P>/8 and beta - 6."""
    scale = torch.tensor([1 / 36, 1 / 8], dtype=torch.float64)
    return _weights(network, scale, network.weight[k], network.bias[k], beta)


def _weights(network, scale: Tensor, weight: Tensor, bias: Tensor, beta: float):
    first = network.first.weight
    offset = network.first.bias + first[:, 2] * (beta - 6)
    return learned.network(first[:, :2] * scale, offset, weight, bias)


def _scale_only(net: learned.Network) -> learned.Network:
    """The same s with q = 0 and no loops, for a push that is already there."""
    keep = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return learned.network(net.first, net.offset, net.weight[:2] * keep[:, None],
                           net.bias[:2] * keep)
