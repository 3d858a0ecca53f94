"""Who computes the sub-steps of a kernel: the protocol of engines."""

from typing import Protocol

from torch import Tensor

from l2hmc_bridge.networks.covariant import MomentumMixing, Steps
from l2hmc_bridge.networks.parts import DriftPart, KickPart
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling.markov import Trajectory
from l2hmc_bridge.sampling.seen import Seen
from l2hmc_bridge.systems.actions import Action


class Map(Protocol):
    """What an engine must know of a kernel: Phi = K_0 D_1 K_1 ... D_n K_n."""

    @property
    def action(self) -> Action: ...
    @property
    def steps(self) -> Steps: ...
    @property
    def kick_network(self) -> KickPart | None: ...
    @property
    def drift_network(self) -> DriftPart | None: ...
    @property
    def mixing(self) -> MomentumMixing | None: ...
    @property
    def transformation(self) -> FieldTransformation | None: ...

    def within(self) -> "Map":
        """The map of V = F^-1(U) under S(F(V)) - log|J_F(V)|, itself without a transformation."""

    def enter(self, links: Tensor, momenta: Tensor, force: Tensor, seen: Seen | None = None
              ) -> "Engine":
        """A trajectory at (U, P), on the engine that serves this map there."""

    def effective(self) -> tuple[Tensor, Tensor, Tensor]:
        """(kicks h_0..h_n, drifts e_1..e_n, displacements g_0..g_n) in MD time."""


class Engine(Protocol):
    """A trajectory under way: links, momenta, log|J|, and what was computed at this field.

    The engine decides where fields live and what is computed together; the kernel says in which
    order. Every force is computed once for each distinct field.
    """

    name: str  # for reports: "torch", "compiled kernels (avx2)"

    @classmethod
    def serves(cls, kernel: Map, links: Tensor) -> bool:
        """Whether this engine can compute this kernel's map at these links, as they are used now.
        """

    @classmethod
    def enter(cls, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
              seen: Seen | None = None) -> "Engine":
        """Begin at torch fields; `force` is the force of the kernel's guide at `links`.

        `seen` may be what a trajectory that ended at these links left: an engine takes its own.
        """

    def kick(self, k: int, share: float = 1.0) -> None:
        """Gamma+ of kick k, with `share` of its step size."""

    def unkick(self, k: int, share: float = 1.0) -> None:
        """Gamma-, the exact inverse of `kick`."""

    def turn(self) -> None:
        """The last kick, a flip of the momenta and the inverse of that kick, as one."""

    def flip(self) -> None:
        """P -> -P."""

    def drift(self, k: int, sign: int) -> None:
        """Lambda+ of drift k (sign 1) or its exact inverse (sign -1)."""

    def leave(self) -> Trajectory:
        """Where the trajectory is, as torch fields; the engine is used up."""
