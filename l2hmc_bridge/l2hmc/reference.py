"""The engine that computes the formulas in torch: any group, device, dtype, and gradients."""

import torch
from torch import Tensor

from l2hmc_bridge.l2hmc.engine import Map
from l2hmc_bridge.networks.parts import KickPart
from l2hmc_bridge.sampling.markov import Trajectory
from l2hmc_bridge.sampling.seen import Seen
from l2hmc_bridge.systems.groups import Group, group_of


class TorchEngine:
    """Sub-steps as they are written down; hot functions by `fast`, whoever serves them there."""

    name = "torch"

    @classmethod
    def serves(cls, kernel: Map, links: Tensor) -> bool:
        """Always."""
        return True

    @classmethod
    def enter(cls, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
              seen: Seen | None = None) -> "TorchEngine":
        """Begin at (links, momenta) with the force there; `seen` is of no use here."""
        return cls(kernel, links, momenta, force)

    def __init__(self, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor):
        self.kernel, self.group = kernel, group_of(kernel.action)
        self.links, self.momenta, self.force = links, momenta, force
        self.kicks, self.drifts, self.displacements = kernel.effective()
        self.evaluations = 0
        self._log_det = momenta.new_zeros(len(momenta)).real  # of the passes that are over
        self._changes: list[Tensor] = []  # log|J| of the sub-steps of this pass
        self._features: tuple[Tensor, ...] | None = None  # at this field
        self._displaced: dict[int, Tensor] = {}  # kick -> its force, at this field

    def kick(self, k: int, share: float = 1.0) -> None:
        """P' = P e^{h s} - h M [F e^{2 h q} + t], log|J| = sum 8 h s."""
        h = share * self.kicks[k]
        network = self.kernel.kick_network
        if network is None:
            self.momenta = self.momenta - h * self._mixed(self._force_of(k))
            return
        push, s = self._push(network, k, h)
        growth = self.group.spread(torch.exp(h * s))
        self.momenta = self.momenta * growth - h * push
        self._changes.append(_log_det(h * s, self.group))

    def unkick(self, k: int, share: float = 1.0) -> None:
        """P = e^{-h s} {P' + h M [F e^{2 h q} + t]}, log|J| = -sum 8 h s."""
        h = share * self.kicks[k]
        network = self.kernel.kick_network
        if network is None:
            self.momenta = self.momenta + h * self._mixed(self._force_of(k))
            return
        push, s = self._push(network, k, h)
        shrinking = self.group.spread(torch.exp(-h * s))
        self.momenta = (self.momenta + h * push) * shrinking
        self._changes.append(_log_det(-h * s, self.group))

    def turn(self) -> None:
        """Gamma+, flip, Gamma- of the last kick: 2 h e^{-h s} M [F e^{2 h q} + t] - P, log|J| = 0.
        """
        k = len(self.drifts)
        h, network = self.kicks[k], self.kernel.kick_network
        if network is None:
            push = self._mixed(self._force_of(k))
        else:
            push, s = self._push(network, k, h)
            push = push * self.group.spread(torch.exp(-h * s))
        self.momenta = 2 * h * push - self.momenta
        self._close_pass()

    def flip(self) -> None:
        """-P."""
        self.momenta = -self.momenta
        self._close_pass()

    def drift(self, k: int, sign: int) -> None:
        """U_A' = exp(e [P_A e^{e q} + t]) U_A, subset after subset; without parts exp(e P) U."""
        kernel, e = self.kernel, self.drifts[k]
        if kernel.drift_network is not None:
            self.links, change = kernel.drift_network.move(
                k, e, self.links, self.momenta, sign, kernel.mixing, kernel.action.beta)
            self._changes.append(change)
        elif kernel.mixing is not None:
            self.links = kernel.mixing.move(k, e, self.links, self.momenta, sign)
        else:
            self.links = self.group.drift(self.momenta, self.links, sign * e)
        self.force = kernel.action.force(self.links)
        self.evaluations += 1
        self._features, self._displaced = None, {}

    def leave(self) -> Trajectory:
        """Links, momenta, log|J|, the force at the links, and how many forces it took."""
        self._close_pass()
        return Trajectory(self.links, self.momenta, self._log_det, self.force, self.evaluations)

    def _close_pass(self) -> None:
        if self._changes:
            self._log_det = self._log_det + sum(self._changes)
            self._changes = []

    def _push(self, network: KickPart, k: int, h: Tensor) -> tuple[Tensor, Tensor]:
        """(M [F e^{2 h q} + t], s) of kick k."""
        if self._features is None:
            self._features = network.features(self.links, self.force, self.kernel.action.beta)
        force = self._force_of(k)
        s, q, t = network(k, h, self._features)
        return self._mixed(force * self.group.spread(torch.exp(2 * h * q)) + t), s

    def _mixed(self, field: Tensor) -> Tensor:
        mixing = self.kernel.mixing
        return field if mixing is None else mixing(self.links, field)

    def _force_of(self, k: int) -> Tensor:
        """F, or F(exp(-g F) U) if kick k has a displacement g."""
        if not self.kernel.steps.displaced[k]:
            return self.force
        if k not in self._displaced:
            moved = self.group.drift(self.force, self.links, -self.displacements[k])
            self._displaced[k] = self.kernel.action.force(moved)
            self.evaluations += 1
        return self._displaced[k]


def _log_det(exponent: Tensor, group: Group) -> Tensor:
    """All components of every momentum (eight on SU(3)) are scaled by e^exponent."""
    return group.components * exponent.flatten(1).sum(1)
