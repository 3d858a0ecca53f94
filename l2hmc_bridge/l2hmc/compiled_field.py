"""What the compiled kernels computed at one field of a trajectory: each force once."""

from collections.abc import Callable

from torch import Tensor

from l2hmc_bridge.fast.cpu import blocks
from l2hmc_bridge.fast.cpu.learned import Local, Squares
from l2hmc_bridge.fast.cpu.library import ALGEBRA, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.l2hmc.compiled_action import CompiledAction
from l2hmc_bridge.sampling.seen import Seen

LOOPS = {"laplacian", "rectangle", "square"}
LOCAL = {"square"}  # made of what the force kernel holds in registers

Subset = tuple[int, bool]  # links of one direction and of odd or even sites


class CompiledField:
    """Links in the kernels' layout, with their force and what a kick network sees of them.

    `loops` are those of the kick network, None without one. `run` carries out what still waits to
    change the links; it is called before anything is computed here.
    """

    def __init__(self, lattice: Lattice, links: Tensor, action: CompiledAction,
                 loops: tuple[str, ...] | None, run: Callable[[], None]):
        self.lattice, self.links, self.action, self.loops = lattice, links, action, loops
        self.run = run
        self.given: Tensor | None = None  # the force, if it is known without `known`
        self.evaluations = 0  # of displaced forces
        self._known: Local | None = None
        self._handed: Seen = {}  # from kick to kick: squares of a subset's staples among it
        self._borrowed = False  # whether a state holds what is known
        self._loop_fields: tuple[Tensor | None, ...] | None = None
        self._displaced: dict[int, Tensor] = {}

    def looked_at(self, subset: Subset | None) -> bool:
        """Whether `known` costs nothing, and kept from another kick the squares of `subset`."""
        kept = self._borrowed or bool(self._handed)
        return self._known is not None and (not kept or subset is None
                                            or self.squares(subset) is not None)

    def known(self) -> Local:
        """The force; with a kick network also what it sees, and V of its loop "square"."""
        if self._known is None:
            self._known = self._computed()
        return self._known

    def keep(self, squares: Squares | None) -> Local:
        """Room for what a kick finds on its way, which the next kick of this field then knows."""
        self._known, self._handed, self._borrowed = self._empty(), {}, False
        self.given = self._known.force
        if squares is not None:
            self._handed = {self._squares_name((squares.mu, squares.odd)): squares.of_blocks}
        return self._known

    def squares(self, subset: Subset | None) -> Squares | None:
        """Those of the staples of this subset, if they were kept."""
        of_blocks = None if subset is None else self._handed.get(self._squares_name(subset))
        return None if subset is None or of_blocks is None else Squares(*subset, of_blocks)

    def hand_on(self) -> Seen | None:
        """What the kick network of the next trajectory from here would compute anew."""
        if self.loops is None or self._known is None:
            return None
        known = {self._name(what): one for what, one in self._known._asdict().items()
                 if one is not None}
        return {**self._handed, **known}

    def take_over(self, seen: Seen) -> bool:
        """Know what was handed on, and whether that is all that the kick network sees.

        Fields that do not fit these links are of others: kernels see no shapes.
        """
        seen = {name: one for name, one in seen.items() if self._fits(name, one)}
        names = ["force", "invariants"] + ["square"] * ("square" in (self.loops or ()))
        fields = [seen[name] for name in map(self._name, names) if name in seen]
        if self.loops is None or len(fields) < len(names):
            return False
        self._known, self.given, self._borrowed = Local(*fields), fields[0], True
        self._handed = seen
        return True

    def force(self) -> Tensor:
        """The force, computed here only if nobody did before."""
        return self.known().force if self.given is None else self.given

    def displaced(self, kick: int, displacement: float) -> Tensor:
        """F(exp(-g F) U) of a kick with displacement g."""
        if kick not in self._displaced:
            force = self.known().force
            self.run()
            moved = blocks.drift(self.lattice, force, self.links, -displacement)
            self.lattice.renew(moved)
            self._displaced[kick] = self.action.force(self.lattice, moved)
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
        if self._known is None or self._borrowed:
            return ()
        return tuple(one for one in (*self._known, *self._handed.values()) if one is not None)

    def _computed(self) -> Local:
        if self.loops is None and self.given is not None:
            return Local(self.given)
        self.run()
        local = self._empty()
        if self.loops is None:
            self.action.force(self.lattice, self.links, local.force)
        else:
            self.action.look(self.lattice, self.links, local, self.given)
        return local

    def _empty(self) -> Local:
        """Room for all that is known of a field."""
        if self.loops is None:
            return Local(self.room(ALGEBRA))
        return Local(self.room(ALGEBRA), self.room(2),
                     self.room(ALGEBRA) if "square" in self.loops else None)

    def _fits(self, name: str, field: Tensor) -> bool:
        widths = {self._name("force"): ALGEBRA, self._name("square"): ALGEBRA,
                  self._name("invariants"): 2}
        if name in widths:  # the others are of squares, whose width is the drift network's matter
            shape = self.lattice.field(len(self.links), widths[name])
        else:
            shape = (len(self.links), self.lattice.blocks, *field.shape[2:-1], self.lattice.lanes)
        return field.dtype == self.lattice.dtype and field.shape == shape

    def _name(self, what: str) -> str:
        return f"{what}, beta {self.action.beta!r}, c1 {self.action.c1!r}"

    def _squares_name(self, subset: Subset) -> str:
        return self._name(f"squares {subset}")

    def _loop(self, name: str) -> Tensor | None:
        if name == "laplacian":
            return None
        if name == "square":
            return self.known().square
        # TA(U A^rect): the force at beta = 6 is TA(U [(1 - 8 c1) A + c1 A^rect]).
        self.run()
        both = blocks.force(self.lattice, self.links, 6.0, 1.0)
        return both.add_(blocks.force(self.lattice, self.links, 6.0, 0.0), alpha=7.0)
