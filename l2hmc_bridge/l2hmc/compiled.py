"""One field of a trajectory on the compiled kernels, with what was computed on it.

A `CompiledPoint` stands in for a `Point` from the start of a trajectory to its end: links, force
and momenta stay in the kernels' layout, each kick or drift is one or two passes over the lattice.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import blocks as blocked, learned, library
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing
from l2hmc_bridge.systems.actions import GaugeAction

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
    lattice: library.Lattice
    blocks: Tensor  # links; the next drift overwrites them
    evaluations: int = 0
    given: Tensor | None = None  # the force, where it is known without `_force`
    squares: learned.Squares | None = None  # of the staples of the subset that moves next
    _waiting: list[learned.Task] = field(default_factory=list)  # of the whole trajectory
    _spare: list[Tensor] = field(default_factory=list)  # buffers to hand back when these have run
    _kept: dict = field(default_factory=dict)  # what serves the whole trajectory
    _displaced: dict = field(default_factory=dict)

    @classmethod
    def enter(cls, kernel, links: Tensor, force: Tensor) -> "CompiledPoint":
        """The point at torch links with the force that is known there."""
        lattice = library.lattice_of(links)
        point = cls(kernel, lattice, blocked.links_in(lattice, links))
        point.given = blocked.algebra_in(lattice, force)
        return point

    def momenta_in(self, momenta: Tensor) -> Tensor:
        """Torch momenta -> the layout of this point."""
        return blocked.algebra_in(self.lattice, momenta)

    def momenta_out(self, momenta: Tensor) -> Tensor:
        """The inverse of `momenta_in`."""
        self._run()
        return blocked.algebra_out(self.lattice, momenta)

    def flipped(self, momenta: Tensor) -> Tensor:
        """-P, in place."""
        self._run()
        return momenta.neg_()

    def numbers(self, steps: tuple[Tensor, ...]) -> tuple[list[float], ...]:
        """Step sizes as plain numbers: a kernel call costs less than an operation of torch."""
        return tuple(one.tolist() for one in steps)

    def total(self, changes: list) -> Tensor | float:
        """The sum of these log|J|, once the kicks and drifts they belong to have run."""
        self._run()
        return sum(changes)

    def _run(self) -> None:
        if self._waiting:
            learned.run(self.lattice, self.blocks, self._waiting)
            self._waiting.clear()
        SCRATCH.give(*self._spare)
        self._spare.clear()

    @property
    def links(self) -> Tensor:
        """In the torch layout."""
        self._run()
        return blocked.links_out(self.lattice, self.blocks)

    @property
    def force(self) -> Tensor:
        """In the torch layout."""
        self._run()
        known = self._force[0] if self.given is None else self.given
        return blocked.algebra_out(self.lattice, known)

    @cached_property
    def _force(self) -> tuple[Tensor, ...]:
        """The force; with a kick network what it sees, and V of its loop "square" if it has one."""
        action, network = self.kernel.action, self.kernel.kick_network
        if network is None and self.given is not None:
            return (self.given,)
        self._run()
        out = self._room(library.ALGEBRA)
        if network is None:
            return (blocked.force(self.lattice, self.blocks, action.beta, action.c1, out=out),)
        seen = self._room(2)
        square = (self._room(library.ALGEBRA),) if "square" in network.loops else ()
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
        self._run()
        both = blocked.force(self.lattice, self.blocks, 6.0, 1.0)
        return both.add_(blocked.force(self.lattice, self.blocks, 6.0, 0.0), alpha=7.0)

    def kick(self, k: int, h: float, displacement: float, momenta: Tensor, mode: int
             ) -> tuple[Tensor, Tensor]:
        """Gamma+, Gamma- or the turn with its log|J| [Nb], later; overwrites `momenta`."""
        network, mixing = self.kernel.kick_network, self.kernel.mixing
        net = None if network is None else self._cached(_kick_weights, network, k)
        push, keep = self._push(k, net, displacement), None
        if push.force is None:
            self.squares = self._next_subset(k, mode)
            push = push._replace(wanted=self.squares)
            if self.given is None and self._handed_on(k, mode):
                keep = self.given = self._room(library.ALGEBRA)
        if mixing is not None:
            if push.net is not None or push.force is None:
                push, keep = self._whole(push, h, mode, keep), None
            push = push._replace(mixing=float(mixing.coefficient))
        task = learned.kick_task(push, h, momenta, mode, momenta, keep_force=keep)
        self._waiting.append(task)
        return momenta, task.log_det

    def _whole(self, push: learned.Push, h: float, mode: int, keep: Tensor | None) -> learned.Push:
        """The push as a field, which mixing needs beyond its link, and s with a network."""
        whole = self._room(library.ALGEBRA)
        scale = None if push.net is None else self._room(1)
        self._spare += [whole] if scale is None else [whole, scale]
        self._waiting.append(learned.kick_task(push, h, None, mode, whole, scale, keep))
        return learned.Push(self.blocks, force=whole, scale=scale)

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

    def _passing(self, k: int) -> bool:
        """Whether the force of this point may stay in the registers of this kick.

        Without a network it must not be known; with one, what the network sees comes along with the
        force and costs as much by itself.
        """
        if self.kernel.steps.displaced[k] or "_force" in self.__dict__:
            return False
        network = self.kernel.kick_network
        return self.given is None if network is None else LOCAL.issuperset(network.loops)

    def _handed_on(self, k: int, mode: int) -> bool:
        """Whether this kick may be the end of a trajectory, which hands its force on."""
        return mode != learned.TURN and k in (0, len(self.kernel.steps.drifts))

    def _pushing(self, k: int, displacement: float) -> Tensor:
        """F, or F(exp(-g F) U) where kick k has a displacement g."""
        if not self.kernel.steps.displaced[k]:
            return self._force[0]
        if k not in self._displaced:
            action = self.kernel.action
            self._run()
            moved = blocked.drift(self.lattice, self._force[0], self.blocks, -displacement)
            self._displaced[k] = blocked.force(self.lattice, moved, action.beta, action.c1)
            self.evaluations += 1
        return self._displaced[k]

    def _next_subset(self, k: int, mode: int) -> learned.Squares | None:
        """Room for the squares of the links that move first after this kick, if any do."""
        network = self.kernel.drift_network
        k, sign = (k, 1) if mode == learned.FORWARD else (k - 1, -1)
        if network is None or network.subsets != "turn" or not 0 <= k < len(
                self.kernel.steps.drifts):
            return None
        mu, odd, first = self.kernel.subsets(k, sign)[0]
        if not first:
            return None
        shape = (len(self.blocks), self.lattice.blocks, self.lattice.lanes)
        room = SCRATCH.take(shape, self.lattice.dtype)
        self._spare.append(room)
        return learned.Squares(mu, odd, room)

    def _cached(self, make, network, k: int) -> learned.Network:
        """Number k of make(network, beta), which is called once per trajectory."""
        if make not in self._kept:
            self._kept[make] = make(network, self.kernel.action.beta)
        return self._kept[make][k]

    def drift(self, k: int, e: float, momenta: Tensor, sign: int, subsets) -> "CompiledPoint":
        """Lambda+ (sign 1) or Lambda- (sign -1), later; this point is used up."""
        network, mixing = self.kernel.drift_network, self.kernel.mixing
        net = None if network is None else self._cached(_drift_weights, network, k)
        share = 0.0 if mixing is None else float(mixing.coefficient)
        if mixing is None and network is None:
            moves = [(None, learned.NO_DIRECTION, None, learned.LAST)]
        elif mixing is None and network.subsets == "turn":
            (mu, odd, _), = (one for one in subsets if one[2])
            moves = [(net, mu, odd, learned.FIRST if subsets[0][2] else learned.LAST)]
        else:
            moves = [(net if alive else None, mu, odd, learned.ALONE)
                     for mu, odd, alive in subsets]
        for n, (one, mu, odd, order) in enumerate(moves):
            self._waiting.append(learned.drift_task(
                one, mu, odd, e, sign, share, momenta, self.blocks, order,
                self.squares if n == 0 else None))
        self._spare += self.__dict__.pop("_force", ())
        return CompiledPoint(self.kernel, self.lattice, self.blocks, self.evaluations + 1,
                             _waiting=self._waiting, _spare=self._spare, _kept=self._kept)


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
