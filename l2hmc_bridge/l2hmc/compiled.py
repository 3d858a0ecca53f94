"""The engine on the compiled kernels.

From `enter` to `leave` links, force and momenta stay in the kernels' layout; each kick or drift is
one or two passes over the lattice. Kicks and drifts wait until someone looks at the result: then
they run in one call.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import blocks, learned, library, smearing
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.l2hmc.compiled_action import CompiledAction, known
from l2hmc_bridge.l2hmc.compiled_field import LOCAL, LOOPS, CompiledField, Subset
from l2hmc_bridge.l2hmc.compiled_moves import Moves
from l2hmc_bridge.l2hmc.engine import Map
from l2hmc_bridge.l2hmc.weights import drift_weights, kick_weights
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, MomentumMixing
from l2hmc_bridge.networks.smeared import SmearedDrift
from l2hmc_bridge.sampling.markov import Trajectory
from l2hmc_bridge.sampling.seen import Seen


class CompiledEngine:
    """One trajectory in the blocked layout."""

    @classmethod
    def serves(cls, kernel: Map, links: Tensor) -> bool:
        """Whether action and parts are those that the kernels know, and no gradients are wanted."""
        kick, drift, mixing = kernel.kick_network, kernel.drift_network, kernel.mixing
        return (
            known(kernel.action) is not None
            and (kick is None or (type(kick) is KickNetwork and LOOPS.issuperset(kick.loops)))
            and (drift is None or type(drift) in (DriftNetwork, SmearedDrift))
            and (mixing is None or type(mixing) is MomentumMixing)
            and kernel.transformation is None
            and not torch.is_grad_enabled()
            and fast.compiled(links)
        )

    @classmethod
    def enter(cls, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
              seen: Seen | None = None) -> "CompiledEngine":
        """Begin at (links, momenta) with the force there; `serves` must be true."""
        return cls(kernel, links, momenta, force, seen)

    def __init__(self, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
                 seen: Seen | None):
        self.name = fast.description()
        self.kick_network = cast(KickNetwork | None, kernel.kick_network)
        drift = kernel.drift_network
        self.drift_network = drift if isinstance(drift, DriftNetwork) else None
        self.smeared = drift if isinstance(drift, SmearedDrift) else None
        self.mixing = None if kernel.mixing is None else float(kernel.mixing.coefficient)
        self.action = cast(CompiledAction, known(kernel.action))
        self.displaced = kernel.steps.displaced
        self.kicks, self.drifts, self.displacements = (one.tolist() for one in kernel.effective())
        self.lattice = library.lattice_of(links)
        self.moves = Moves(self.lattice, self.drift_network, self.mixing is not None,
                           len(self.drifts))
        self.momenta = blocks.algebra_in(self.lattice, momenta, len(links))  # kicks overwrite them
        self.evaluations = 0
        self.log_det = torch.zeros(len(links), dtype=torch.float64)  # of the passes that are over
        self._changes: list[learned.Task] = []  # the kicks of this pass, which change log|J|
        self._waiting: list[learned.Task] = []
        self._spare: list[Tensor] = []  # buffers to hand back when these have run
        self._weights: dict[Callable, list[learned.Network]] = {}
        self._squares: learned.Squares | None = None  # of staples of the subset that moves next
        self.field = self._arrived(blocks.links_in(self.lattice, links))
        if seen is None or not self.field.take_over(seen):
            self.field.given = blocks.algebra_in(self.lattice, force, len(links))

    def kick(self, k: int, share: float = 1.0) -> None:
        """Gamma+, later."""
        self._kick(k, share, learned.FORWARD)

    def unkick(self, k: int, share: float = 1.0) -> None:
        """Gamma-, later."""
        self._kick(k, share, learned.INVERSE)

    def turn(self) -> None:
        """The last kick, a flip and its inverse in one, later."""
        self._kick(len(self.drifts), 1.0, learned.TURN)
        self._close_pass()

    def flip(self) -> None:
        """-P."""
        self._close_pass()
        self.momenta.neg_()

    def drift(self, k: int, sign: int) -> None:
        """Lambda+ (sign 1) or Lambda- (sign -1), later; the links are overwritten."""
        if sign < 0:
            self._smear(k, sign)
        for n, move in enumerate(self.moves.of_drift(k, sign, self._drift_net)):
            self._waiting.append(learned.drift_task(
                move.net, move.mu, move.odd, self.drifts[k], sign, self.mixing or 0.0,
                self.momenta, self.field.links, move.order, self._squares if n == 0 else None))
        if sign > 0:
            self._smear(k, sign)
        self._spare += self.field.left()
        self.evaluations += 1 + self.field.evaluations
        self.field, self._squares = self._arrived(self.field.links), None

    def leave(self) -> Trajectory:
        """Torch fields."""
        self._close_pass()
        self.lattice.renew(self.momenta)
        force = self.field.force()
        return Trajectory(blocks.links_out(self.lattice, self.field.links),
                          blocks.algebra_out(self.lattice, self.momenta), self.log_det,
                          blocks.algebra_out(self.lattice, force),
                          self.evaluations + self.field.evaluations, seen=self.field.hand_on())

    def _arrived(self, links: Tensor) -> CompiledField:
        loops = None if self.kick_network is None else self.kick_network.loops
        return CompiledField(self.lattice, links, self.action, loops, self._run)

    def _run(self) -> None:
        if self._waiting:
            self._run_waiting()
            self._waiting.clear()
        SCRATCH.give(*self._spare)
        self._spare.clear()

    def _run_waiting(self) -> None:
        """All in one call, unless copies of other processes' sites are renewed in between."""
        links, looked_at = self.field.links, self.drift_network or self.mixing is not None
        if not self.lattice.shared:
            return learned.run(self.lattice, links, self._waiting)
        for task in self._waiting:
            learned.run(self.lattice, links, [task])
            if task.changes is None:
                self.lattice.renew(links)
            elif looked_at:  # a drift may look at the momenta beside it, or move those links
                self.lattice.renew(self.momenta)

    def _close_pass(self) -> None:
        self._run()
        if self._changes:
            self.log_det = self.log_det + learned.log_det(self.lattice, self._changes,
                                                          len(self.momenta))
            self._changes = []

    def _kick(self, k: int, share: float, mode: int) -> None:
        net = (None if self.kick_network is None
               else self._network(kick_weights, self.kick_network, k))
        subset, ends = self.moves.first_after(k, mode, net is not None), self._ends(k, mode)
        h, push, keep = share * self.kicks[k], self._push(k, net, subset), None
        if push.force is not None:
            self._squares = self.field.squares(subset)
        else:
            self._squares = self._room_of(subset, ends)
            push = push._replace(wanted=self._squares)
            keep = self.field.keep(self._squares) if ends else None
        if self.mixing is not None:
            if push.net is not None or push.force is None:
                push, keep = self._whole(push, h, mode, keep), None
            push = push._replace(mixing=self.mixing)
        task = learned.kick_task(self.lattice, push, h, self.momenta, mode, self.momenta,
                                 keep=keep)
        self._waiting.append(task)
        self._changes.append(task)

    def _whole(self, push: learned.Push, h: float, mode: int, keep: learned.Local | None
               ) -> learned.Push:
        """The push as a field, which mixing needs beyond its link, and s with a network."""
        whole = self.field.room(library.ALGEBRA)
        scale = None if push.net is None else self.field.room(1)
        self._spare += [whole] if scale is None else [whole, scale]
        self._waiting.append(learned.kick_task(self.lattice, push, h, None, mode, whole, scale,
                                               keep))
        return learned.Push(self.field.links, force=whole, scale=scale)

    def _push(self, k: int, net: learned.Network | None, subset: Subset | None) -> learned.Push:
        """F e^{2 h^2 q} + t of kick k, with a force that may never leave the registers."""
        links = self.field.links
        if self._passing(k, subset):
            names = self.field.loops or ()
            square = names.index("square") if "square" in names else -1
            return learned.Push(links, net, beta=self.action.beta, c1=self.action.c1, square=square)
        force = (self.field.displaced(k, self.displacements[k]) if self.displaced[k]
                 else self.field.known().force)
        if net is None:
            return learned.Push(links, force=force)
        known = self.field.known()
        return learned.Push(links, net, force, known.invariants, known.force,
                            self.field.loop_fields())

    def _passing(self, k: int, subset: Subset | None) -> bool:
        """Whether the force of this field may stay in the registers of this kick.

        Without a network it must not be known; with one, nor what the network sees and what the
        drift wants of `subset`, which come along with the force and cost as much by themselves.
        """
        if self.displaced[k] or not self.action.local or self.field.looked_at(subset):
            return False
        loops = self.field.loops
        return self.field.given is None if loops is None else LOCAL.issuperset(loops)

    def _ends(self, k: int, mode: int) -> bool:
        """Whether this kick ends a pass: the next pass or trajectory begins with what it found."""
        return k == {learned.FORWARD: len(self.drifts), learned.INVERSE: 0}.get(mode)

    def _smear(self, k: int, sign: int) -> None:
        """s_U of drift k or its inverse, once all that waits has run."""
        if self.smeared is not None:
            self._run()
            rules = self.smeared.of_drift(k, self.drifts[k], self.action.beta)
            move = smearing.transform_blocks if sign > 0 else smearing.inverse_blocks
            self.log_det = self.log_det + sign * move(self.lattice, self.field.links, rules)

    def _drift_net(self, k: int) -> learned.Network:
        return self._network(drift_weights, cast(DriftNetwork, self.drift_network), k)

    def _room_of(self, subset: Subset | None, kept: bool) -> learned.Squares | None:
        """Room for the squares of the staples of these links: of this pass, or kept with its end.
        """
        if subset is None:
            return None
        shape = (len(self.momenta), self.lattice.blocks, self.lattice.lanes)
        room = SCRATCH.take(shape, self.lattice.dtype)
        self._spare += [] if kept else [room]
        return learned.Squares(*subset, room)

    def _network(self, make: Callable, network: KickNetwork | DriftNetwork, k: int
                 ) -> learned.Network:
        """Number k of make(network, beta), which is called once per trajectory."""
        if make not in self._weights:
            self._weights[make] = make(network, self.action.beta)
        return self._weights[make][k]
