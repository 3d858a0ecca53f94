"""The engine on a GPU of trained steps without networks: what HMC does there, at HMC's cost."""

from typing import cast

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast.gpu.trajectories import Drift, Kick, travel
from l2hmc_bridge.l2hmc.engine import Map
from l2hmc_bridge.l2hmc.weights import step_sizes
from l2hmc_bridge.sampling.markov import Trajectory
from l2hmc_bridge.sampling.seen import Seen
from l2hmc_bridge.systems.actions import GaugeAction


class PlanarEngine:
    """One trajectory with numbers apart; a kick runs with the drift that follows.

    Every kick is P' = keep P + push F at one field, so all that meet there add up. Step sizes that
    lie on the GPU are read once, at the beginning; kernels start at the end, when all is known.
    """

    name = "Triton kernels"

    @classmethod
    def serves(cls, kernel: Map, links: Tensor) -> bool:
        """Whether there are steps alone, of a gauge action on SU(3), and no gradients are wanted.
        """
        parts = (kernel.kick_network, kernel.drift_network, kernel.mixing, kernel.transformation)
        return (type(kernel.action) is GaugeAction and all(part is None for part in parts)
                and not torch.is_grad_enabled() and fast.planar(links))

    @classmethod
    def enter(cls, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
              seen: Seen | None = None) -> "PlanarEngine":
        """Begin at (links, momenta) with the force there; `serves` must be true.

        `seen` is of no use here.
        """
        return cls(kernel, links, momenta, force)

    def __init__(self, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor):
        self.action, self.fields = cast(GaugeAction, kernel.action), (links, momenta, force)
        self.moves: list[Kick | Drift] = []
        self.kicks, self.drifts, self.displacements = step_sizes(kernel)
        self.displaced = kernel.steps.displaced
        self.evaluations = 0

    def kick(self, k: int, share: float = 1.0) -> None:
        """P - h F."""
        self._kick(k, -share * self.kicks[k])

    def unkick(self, k: int, share: float = 1.0) -> None:
        """P + h F."""
        self._kick(k, share * self.kicks[k])

    def turn(self) -> None:
        """2 h F - P."""
        k = len(self.drifts)
        self._kick(k, 2 * self.kicks[k], keep=-1.0)

    def flip(self) -> None:
        """-P."""
        self.moves.append(Kick(0.0, keep=-1.0))

    def drift(self, k: int, sign: int) -> None:
        """exp(+-e P) U."""
        self.moves.append(Drift(sign * self.drifts[k]))
        self.evaluations += 1

    def leave(self) -> Trajectory:
        """Where all moves lead."""
        end = travel(*self.fields, self.action.beta, self.action.c1, self.moves)
        log_det = end.momenta.new_zeros(len(end.momenta)).real
        return Trajectory(end.links, end.momenta, log_det, end.force, self.evaluations,
                          action=end.action, delta_kinetic=end.delta_kinetic)

    def _kick(self, k: int, push: float, keep: float = 1.0) -> None:
        displaced = self.displaced[k]
        self.moves.append(Kick(push, keep, self.displacements[k] if displaced else 0.0))
        self.evaluations += displaced
