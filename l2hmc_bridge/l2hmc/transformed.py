"""F . Phi . F^-1: a map of (V, P) run in V = F^-1(U), where the action is S(F(V)) - log|J_F(V)|.

Momenta belong to V, the chain is one of U. log|J| of the whole is that of Phi plus
log|J_F(V')| - log|J_F(V)|, so that dK + dS - log|J| is the energy error of the run in V.
"""

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.l2hmc.engine import Engine, Map
from l2hmc_bridge.networks.transformation import FieldTransformation
from l2hmc_bridge.sampling.markov import Trajectory
from l2hmc_bridge.sampling.seen import Seen
from l2hmc_bridge.systems.actions import Action, noisy


@dataclass(frozen=True)
class TransformedAction:
    """S~(V) = S(F(V)) - log|J_F(V)| of links V."""

    inner: Action
    transformation: FieldTransformation

    @property
    def group(self) -> str:
        """That of the action it is made of."""
        return self.inner.group

    @property
    def beta(self) -> float:
        """That of the action it is made of."""
        return self.inner.beta

    def __call__(self, links: Tensor) -> Tensor:
        """S~ of each V, float64 [Nb]."""
        moved, log_det = self.transformation(links, self.beta)
        return self.inner(moved) - log_det

    def force(self, links: Tensor) -> Tensor:
        """F with d/de S~(exp(e X) V) = <X, F>, like links; exact, itself differentiable."""
        return self.transformation.force(links, self.beta, self.inner.force)

    @property
    def noisy(self) -> bool:
        """Whether the action has noise."""
        return noisy(self.inner)

    def refresh(self, links: Tensor, generator: Any) -> bool:
        """Redraw the noise of the action at F(V)."""
        return self.inner.refresh(self.transformation(links, self.beta)[0], generator)

    def at(self, beta: float) -> "TransformedAction":
        """The same with the action at another coupling."""
        return TransformedAction(self.inner.at(beta), self.transformation)


@dataclass(frozen=True)
class Guide:
    """S~ and its force as functions of U: what the trajectories of a chain of U begin with."""

    moving: TransformedAction

    @property
    def group(self) -> str:
        """That of the action."""
        return self.moving.group

    @property
    def beta(self) -> float:
        """That of the action."""
        return self.moving.beta

    def __call__(self, links: Tensor) -> Tensor:
        """S~(F^-1(U)), [Nb]."""
        found, log_det = self.moving.transformation.inverse(links, self.beta)
        return self.moving.inner(links) - log_det

    def force(self, links: Tensor) -> Tensor:
        """The force of S~ at F^-1(U), like links."""
        return self.moving.force(self.moving.transformation.inverse(links, self.beta)[0])

    @property
    def noisy(self) -> bool:
        """Whether the action has noise."""
        return self.moving.noisy

    def refresh(self, links: Tensor, generator: Any) -> bool:
        """Redraw the noise of the action."""
        return self.moving.inner.refresh(links, generator)

    def at(self, beta: float) -> "Guide":
        """The same at another coupling."""
        return Guide(self.moving.at(beta))


class TransformedEngine:
    """The engine of Phi in V, between F^-1 and F."""

    @classmethod
    def serves(cls, kernel: Map, links: Tensor) -> bool:
        """Whether the kernel has a field transformation."""
        return kernel.transformation is not None

    @classmethod
    def enter(cls, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor,
              seen: Seen | None = None) -> "TransformedEngine":
        """Begin at V = F^-1(U); `force` is that of the kernel's guide at U, `seen` is not used."""
        return cls(kernel, links, momenta, force)

    def __init__(self, kernel: Map, links: Tensor, momenta: Tensor, force: Tensor):
        self.transformation = cast(FieldTransformation, kernel.transformation)
        self.beta = kernel.action.beta
        found, self.log_det = self.transformation.inverse(links, self.beta)
        self.within: Engine = kernel.within().enter(found, momenta, force)
        self.name = fast.description() if fast.compiled(links) else self.within.name

    def kick(self, k: int, share: float = 1.0) -> None:
        """Of the engine in V."""
        self.within.kick(k, share)

    def unkick(self, k: int, share: float = 1.0) -> None:
        """Of the engine in V."""
        self.within.unkick(k, share)

    def turn(self) -> None:
        """Of the engine in V."""
        self.within.turn()

    def flip(self) -> None:
        """Of the engine in V."""
        self.within.flip()

    def drift(self, k: int, sign: int) -> None:
        """Of the engine in V."""
        self.within.drift(k, sign)

    def leave(self) -> Trajectory:
        """U' = F(V'), the momenta, log|J| of all, the force of S~ at V'."""
        end = self.within.leave()
        links, log_det = self.transformation(end.links, self.beta)
        return end._replace(links=links, log_det=end.log_det + log_det - self.log_det, seen=None)
