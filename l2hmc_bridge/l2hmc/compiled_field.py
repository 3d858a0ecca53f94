"""What the compiled kernels computed at one field of a trajectory: each force once."""

from collections.abc import Callable

from torch import Tensor

from l2hmc_bridge.fast.cpu import blocks
from l2hmc_bridge.fast.cpu.library import ALGEBRA, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.systems.actions import GaugeAction

LOOPS = {"laplacian", "rectangle", "square"}
LOCAL = {"square"}  # made of what the force kernel holds in registers


class CompiledField:
    """Links in the kernels' layout, with their force and what a kick network sees of them.

    `loops` are those of the kick network, None without one. `run` carries out what still waits to
    change the links; it is called before anything is computed here.
    """

    def __init__(self, lattice: Lattice, links: Tensor, action: GaugeAction,
                 loops: tuple[str, ...] | None, run: Callable[[], None],
                 force: Tensor | None = None):
        self.lattice, self.links, self.action, self.loops = lattice, links, action, loops
        self.run = run
        self.given = force  # the force, if it is known without `known`
        self.evaluations = 0  # of displaced forces
        self._known: tuple[Tensor, ...] = ()
        self._loop_fields: tuple[Tensor | None, ...] | None = None
        self._displaced: dict[int, Tensor] = {}

    @property
    def looked_at(self) -> bool:
        """Whether `known` was asked for."""
        return bool(self._known)

    def known(self) -> tuple[Tensor, ...]:
        """(force,); with a kick network also what it sees, and V of its loop "square"."""
        if not self._known:
            self._known = self._computed()
        return self._known

    def force(self) -> Tensor:
        """The force, computed here only if nobody did before."""
        return self.known()[0] if self.given is None else self.given

    def displaced(self, kick: int, displacement: float) -> Tensor:
        """F(exp(-g F) U) of a kick with displacement g."""
        if kick not in self._displaced:
            force = self.known()[0]
            self.run()
            moved = blocks.drift(self.lattice, force, self.links, -displacement)
            self.lattice.renew(moved)
            self._displaced[kick] = blocks.force(self.lattice, moved, self.action.beta,
                                                 self.action.c1)
            self.evaluations += 1
        return self._displaced[kick]

    def loop_fields(self) -> tuple[Tensor | None, ...]:
        """V_l of the kick network; None for the Laplacian of the force, made when it is used."""
        if self._loop_fields is None:
            self._loop_fields = tuple(map(self._loop, self.loops or ()))
        return self._loop_fields

    def room(self, width: int) -> Tensor:
        """A field whose numbers are not set."""
        return SCRATCH.take(self.lattice.field(len(self.links), width), self.lattice.dtype)

    def left(self) -> tuple[Tensor, ...]:
        """Buffers that nobody needs once the links have moved on."""
        return self._known

    def _computed(self) -> tuple[Tensor, ...]:
        action = self.action
        if self.loops is None and self.given is not None:
            return (self.given,)
        self.run()
        out = self.room(ALGEBRA)
        if self.loops is None:
            return (blocks.force(self.lattice, self.links, action.beta, action.c1, out=out),)
        seen = self.room(2)
        square = (self.room(ALGEBRA),) if "square" in self.loops else ()
        blocks.force_and_invariants(self.lattice, self.links, action.beta, action.c1, out, seen,
                                    *square)
        return (out, seen, *square)

    def _loop(self, name: str) -> Tensor | None:
        if name == "laplacian":
            return None
        if name == "square":
            return self.known()[2]
        # TA(U A^rect): the force at beta = 6 is TA(U [(1 - 8 c1) A + c1 A^rect]).
        self.run()
        both = blocks.force(self.lattice, self.links, 6.0, 1.0)
        return both.add_(blocks.force(self.lattice, self.links, 6.0, 0.0), alpha=7.0)
