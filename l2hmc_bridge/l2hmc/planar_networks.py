"""The engine on a GPU of trained steps with networks: kicks and drifts of a few kernels each."""

from typing import cast

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu.learned.moves import FORWARD, INVERSE, TURN
from l2hmc_bridge.fast.gpu.learned.networks import Network
from l2hmc_bridge.fast.gpu.learned.scripts import Later, Noted, Of, play
from l2hmc_bridge.fast.halo import odd_here
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.l2hmc import planar_trial
from l2hmc_bridge.l2hmc.engine import Map
from l2hmc_bridge.l2hmc.weights import drift_rows, kick_rows, step_sizes
from l2hmc_bridge.networks.covariant import DriftNetwork, KickNetwork, subsets
from l2hmc_bridge.sampling.markov import Trajectory
from l2hmc_bridge.sampling.seen import Seen
from l2hmc_bridge.systems.actions import GaugeAction


class PlanarNetworkEngine:
    """One trajectory with numbers apart, by the gauge-covariant networks and mixing.

    Step sizes, mixing and weights that lie on the GPU are read once, at the beginning; kernels
    start at the end, when all moves are known.
    """

    name = "Triton kernels"

    @classmethod
    def serves(cls, kernel: Map, links: Tensor) -> bool:
        """Whether action and parts are those that the kernels know, kernels like these agreed with
        torch on this GPU, and no gradients are wanted.
        """
        sort = planar_trial.sort_of(kernel)
        return (sort is not None and not torch.is_grad_enabled() and fast.planar(links)
                and planar_trial.agrees(cls.enter, sort, links.device, links.dtype))

    @classmethod
    def enter(cls, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
              seen: Seen | None = None) -> "PlanarNetworkEngine":
        """Begin at (links, momenta) with the force there; `serves` must be true."""
        return cls(kernel, links, momenta, force, seen)

    def __init__(self, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
                 seen: Seen | None = None):
        kick = cast(KickNetwork | None, kernel.kick_network)
        self.action, self.fields = cast(GaugeAction, kernel.action), (links, momenta, force)
        self.drift_network = cast(DriftNetwork | None, kernel.drift_network)
        self.mixing = None if kernel.mixing is None else float(kernel.mixing.coefficient)
        self.part, self.seen = parts.of(links), seen or {}
        self.at, like = Noted(), links.new_empty(0, dtype=links.dtype.to_real())
        self.loops = None if kick is None else kick.loops
        self.kick_nets = None if kick is None else kick_rows(kick, self.action.beta, like)
        self.drift_nets = (None if self.drift_network is None
                           else drift_rows(self.drift_network, self.action.beta, like))
        self.kicks, self.drifts, self.displacements = step_sizes(kernel)
        self.displaced = kernel.steps.displaced
        self.evaluations = 0
        self._displaced: dict[int, Later] = {}  # kick -> its force, at this field

    def kick(self, k: int, share: float = 1.0) -> None:
        """Gamma+."""
        self._kick(k, share * self.kicks[k], FORWARD)

    def unkick(self, k: int, share: float = 1.0) -> None:
        """Gamma-."""
        self._kick(k, share * self.kicks[k], INVERSE)

    def turn(self) -> None:
        """The last kick, a flip and its inverse in one."""
        k = len(self.drifts)
        self._kick(k, self.kicks[k], TURN)

    def flip(self) -> None:
        """-P."""
        self.at.kick_at(None, 0.0, -1.0)

    def drift(self, k: int, sign: int) -> None:
        """Lambda+ (sign 1) or Lambda- (sign -1)."""
        network = self.drift_network
        if network is None and self.mixing is None:
            self.at.drift(sign * self.drifts[k])
        elif network is not None and self.mixing is None and network.subsets == "turn":
            self._take_turn(network, k, sign)
        else:
            for mu, odd, alive in subsets(network, k, sign):
                self._move(k, sign, mu, odd, alive)
        self.at.arrive()
        self._displaced = {}
        self.evaluations += 1

    def leave(self) -> Trajectory:
        """Where all moves lead."""
        (links, momenta, force, action, change), log_det, seen = play(
            self.at.calls, self.fields, self.action.beta, self.action.c1, self.loops,
            self.kick_nets, self.drift_nets, self.seen)
        return Trajectory(links, momenta, log_det, force, self.evaluations, seen=seen,
                          action=action, delta_kinetic=change)

    def _kick(self, k: int, h: float, mode: int) -> None:
        force, push, keep = self._force_of(k), (-h, h, 2 * h)[mode], -1.0 if mode == TURN else 1.0
        if self.kick_nets is not None:
            self.at.kick_by(Of(0, k, self.kick_nets[k].tanh), mode, h, self.mixing, force)
        elif self.mixing is not None:
            self.at.kick_mixed(push, keep, self.mixing, force)
        else:
            self.at.kick_at(force, push, keep)

    def _force_of(self, k: int) -> Later | None:
        """F(exp(-g F) U) if kick k has a displacement g."""
        if not self.displaced[k]:
            return None
        if k not in self._displaced:
            self._displaced[k] = self.at.displaced(self.displacements[k])
            self.evaluations += 1
        return self._displaced[k]

    def _take_turn(self, network: DriftNetwork, k: int, sign: int) -> None:
        """One subset by the network, all others by P alone: after it or before it."""
        order = subsets(network, k, sign)
        (mu, odd, _), = (one for one in order if one[2])
        self.at.take_turn(self._net(k), mu, odd_here(self.part, bool(odd)), self.drifts[k], sign,
                          "t" in network.outputs, order[0][2])

    def _move(self, k: int, sign: int, mu: int, odd: bool | None, alive: bool) -> None:
        net = self._net(k) if alive and self.drift_nets is not None else None
        transported = net is not None and "t" in cast(DriftNetwork, self.drift_network).outputs
        self.at.move(net, mu, None if odd is None else odd_here(self.part, odd), self.drifts[k],
                     sign, self.mixing, self.mixing is not None or transported)

    def _net(self, k: int) -> Of:
        """The network of drift k."""
        return Of(1, k, cast(list[Network], self.drift_nets)[k].tanh)
