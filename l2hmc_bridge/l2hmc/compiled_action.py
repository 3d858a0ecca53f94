"""Actions whose forces the compiled kernels know: S of a gauge field, and S(F(V)) - log|J_F(V)|.
"""

from dataclasses import dataclass

from torch import Tensor

from l2hmc_bridge.fast.cpu import blocks, smearing
from l2hmc_bridge.fast.cpu.learned import Local
from l2hmc_bridge.fast.cpu.library import ALGEBRA, Lattice
from l2hmc_bridge.fast.smearing import Rules
from l2hmc_bridge.l2hmc.transformed import TransformedAction
from l2hmc_bridge.systems.actions import Action, GaugeAction


@dataclass(frozen=True)
class CompiledAction:
    """A gauge action of blocked links, or that of V with the rules of a field transformation."""

    beta: float
    c1: float
    rules: Rules | None = None

    @property
    def local(self) -> bool:
        """Whether a kick may compute the force on its way, link by link."""
        return self.rules is None

    def force(self, lattice: Lattice, links: Tensor, out: Tensor | None = None) -> Tensor:
        """Components of the force."""
        if self.rules is None:
            return blocks.force(lattice, links, self.beta, self.c1, out=out)
        return smearing.force_blocks(
            lattice, links, self.rules,
            lambda moved: blocks.force(lattice, moved, self.beta, self.c1), out)

    def look(self, lattice: Lattice, links: Tensor, into: Local, given: Tensor | None) -> None:
        """The force, Re tr(U A) and <F, F> of each link, and TA((U A)^2) / 36 if there is room.

        The force may be `given` if it costs more than a look.
        """
        blocks.force_and_invariants(lattice, links, self.beta, self.c1, *into)
        if self.rules is None or into.invariants is None:
            return
        if given is None:
            self.force(lattice, links, into.force)
        else:
            into.force.copy_(given)
        square = into.invariants[:, :, :, 1].zero_()
        for component in range(ALGEBRA):  # in one order: a library's sum may take another
            one = into.force[:, :, :, component]
            square += one * one


def known(action: Action) -> CompiledAction | None:
    """What the kernels know of an action, or None."""
    if isinstance(action, TransformedAction):
        inner = known(action.inner)
        if inner is None or inner.rules is not None:
            return None
        return CompiledAction(inner.beta, inner.c1, action.transformation.rules(inner.beta))
    return CompiledAction(action.beta, action.c1) if type(action) is GaugeAction else None
