"""What a kick network sees of links under way on a GPU, with numbers apart (planar.py)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu.launch import launch_planar
from l2hmc_bridge.fast.gpu.planar import ALGEBRA, LANES, Moving, renew


class Local(NamedTuple):
    """What a kick network sees of one field: F, Re tr(U A), V of each loop that lies in memory."""

    force: Tensor
    trace: Tensor
    square: Tensor | None
    rectangle: Tensor | None


class Seeing(Moving):
    """Links and momenta under way, with what a kick network with `loops` sees of the links.

    With such a network the force given is not looked at: it comes from the kernel that sees the
    rest, or was handed on with it (`begin`). None: without one.
    """

    def __init__(self, links: Tensor, beta: float, c1: float, momenta: Tensor, force: Tensor,
                 loops: Sequence[str] | None):
        super().__init__(links, beta, c1, momenta, force if loops is None else None)
        self.loops, self._names = loops, names_of(loops, beta, c1)
        self.local: Local | None = None  # at these links

    def begin(self, seen: Mapping[str, Tensor]) -> None:
        """Know what was handed on at these links, if it is `usable`, or look at them anew: the
        same bits.
        """
        if seen:
            given = {one: seen[name] for name, one in self._names.items()}
            self.known = given["force"]
            self.local = Local(self.known, given["trace"], given.get("square"),
                               given.get("rectangle"))
        elif self.loops is not None:
            self.look()

    def hand_on(self) -> dict[str, Tensor] | None:
        """What the network of the next trajectory from here would compute anew."""
        if self.local is None:
            return None
        fields = self.local._asdict()
        return {name: fields[one] for name, one in self._names.items()}

    def look(self) -> Local:
        """What the network sees of the links, in memory."""
        if self.local is None:
            rectangle = self.rectangles(self.sees("rectangle"))
            force, trace = self._kept(ALGEBRA), self._kept(1)
            square = self._kept(ALGEBRA) if self.sees("square") else None
            launch_planar("learned.kicks.look_kernel", self.links, self.links,
                          None if self.c1 == 0.0 else rectangle, force, trace, square, self.c0,
                          self.c1, *self.extents)
            self.local = Local(force, trace, square,
                               rectangle if self.sees("rectangle") else None)
            self.known = force
        return self.local

    def force(self) -> Tensor:
        """F at the links, numbers apart; a kick network's comes with what it sees."""
        return super().force() if self.loops is None else self.look().force

    def displaced(self, displacement: float) -> Tensor:
        """F(exp(-g F) U), numbers apart."""
        force, moved = self.force(), self._room()
        self._glide(self.links, force, moved, -displacement)
        renew(self.part, moved)
        found = torch.empty_like(self.momenta)
        self._run(moved, 1.0, 0.0, out=found)
        return found

    def rectangles(self, seen: bool) -> Tensor | None:
        """TA(U A^rect) if the force or something `seen` is made of it."""
        if self.c1 == 0.0 and not seen:
            return None
        rectangle = torch.zeros_like(self.momenta)
        launch_planar("rectangles.rectangle_kernel", self.links, self.links, rectangle, 1.0,
                      *self.extents)
        return rectangle

    def sees(self, loop: str) -> bool:
        """Whether there is a kick network with this loop."""
        return self.loops is not None and loop in self.loops

    def _kept(self, numbers: int) -> Tensor:
        """Room for what is handed on: the same in every run, lanes beyond the last site too."""
        made = self.links.new_empty(*self.links.shape[:3], numbers, LANES)
        return made if math.prod(self.extents) % LANES == 0 else made.zero_()

    def scalars(self, number: torch.dtype) -> Tensor:
        """Room for a scalar of each link."""
        return torch.empty(*self.links.shape[:3], 1, LANES, dtype=number, device=self.links.device)


def names_of(loops: Sequence[str] | None, beta: float, c1: float) -> dict[str, str]:
    """Under which names that which a network sees in memory is handed on: name -> of Local."""
    if loops is None:
        return {}
    seen = ("force", "trace", *(one for one in ("square", "rectangle") if one in loops))
    return {f"{one} apart, beta {beta!r}, c1 {c1!r}": one for one in seen}


def usable(seen: Mapping[str, Tensor], names: Iterable[str], links: Tensor) -> dict[str, Tensor]:
    """What a trajectory at these torch links may begin with: all of these names, or nothing."""
    given = {name: seen[name] for name in names if name in seen}
    alike = all((one.dtype, one.device) == (links.dtype.to_real(), links.device)
                for one in given.values())
    return given if alike and all(name in given for name in names) else {}
