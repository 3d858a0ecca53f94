"""Kicks and drifts with scalar networks on a GPU, on fields with their numbers apart (planar.py).

Formulas are those of networks/covariant.py: weight f(first in + offset) + bias of each link. Copies
of neighbours' sites are renewed when something that looks at them comes after what changed them. At
each link h s of all kicks is summed up; sums over links wait for the end.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu import sums
from l2hmc_bridge.fast.gpu.launch import BLOCK, launch_drift, launch_network, launch_planar
from l2hmc_bridge.fast.gpu.planar import LANES, Moving, renew

FORWARD, INVERSE, TURN = range(3)  # modes of a kick
LOOPS = ("square", "rectangle", "laplacian")  # in the order of a kick network's outputs
COMPONENTS = 8  # of a momentum, scaled by e^{h s}
ROW, INPUTS = 8, 3  # numbers of a row of weights; two inputs and the offset come first


class Network(NamedTuple):
    """A network as the kernels take it: hidden + 1 rows of ROW numbers."""

    rows: Tensor
    tanh: bool

    @property
    def hidden(self) -> int:
        """Hidden units."""
        return len(self.rows) - 1


class Local(NamedTuple):
    """What a kick network sees of one field: F, Re tr(U A), V of each loop that it has."""

    force: Tensor
    trace: Tensor
    square: Tensor | None
    rectangle: Tensor | None
    laplacian: Tensor | None


def networks(first: Tensor, offset: Tensor, weights: Tensor, biases: Tensor, activation: str,
             places: Sequence[int], like: Tensor) -> list[Network]:
    """Networks with a common hidden layer: first [hidden, 2], offset [hidden], and for each of them
    weights[k] [outputs, hidden], biases[k] [outputs], for fields `like` this.

    places: which of the kernels' five outputs each output is; those of one place are added up.
    """
    rows = torch.zeros(len(weights), len(offset) + 1, ROW, dtype=torch.float64,
                       device=weights.device)
    rows[:, :-1, :2], rows[:, :-1, 2] = first, offset
    for output, place in enumerate(places):
        rows[:, :-1, INPUTS + place] += weights[:, output]
        rows[:, -1, INPUTS + place] += biases[:, output]
    return [Network(one, activation == "tanh") for one in rows.to(like)]


class Learned(Moving):
    """Links and momenta under way, whose kicks may have networks and drifts go subset by subset.

    With a kick network `loops` are those it has, and the force given is not looked at: it comes
    along with what the network sees. None: without one.
    """

    def __init__(self, links: Tensor, beta: float, c1: float, momenta: Tensor, force: Tensor,
                 loops: Sequence[str] | None = None):
        super().__init__(links, beta, c1, momenta, force if loops is None else None)
        self.loops = loops
        self._local: Local | None = None  # at these links
        self._exponent = None if loops is None else self._scalars(torch.float64)
        self._moved = self._pushed = False  # since copies of links, of momenta were renewed

    def look(self) -> Local:
        """What a kick network sees of the links."""
        if self._local is None:
            rectangle = None
            if self.c1 != 0.0 or self._has("rectangle"):
                rectangle = torch.zeros_like(self.momenta)
                launch_planar("rectangle_kernel", self.links, self.links, rectangle, 1.0,
                              *self.extents)
            force, trace = torch.empty_like(self.momenta), self._scalars(self.links.dtype)
            square = torch.empty_like(force) if self._has("square") else None
            launch_network("look_kernel", self.links, self.links,
                           None if self.c1 == 0.0 else rectangle, force, trace, square, self.c0,
                           self.c1, *self.extents)
            laplacian = self._smoothed(force) if self._has("laplacian") else None
            self._local = Local(force, trace, square,
                                rectangle if self._has("rectangle") else None, laplacian)
            self.known = force
        return self._local

    def displaced(self, displacement: float) -> Tensor:
        """F(exp(-g F) U), numbers apart."""
        force, moved = self.known_force(), self._room()
        launch_planar("drift_kernel", self.links, self.links, force, moved, -displacement,
                      *self.extents)
        renew(self.part, moved)
        found = torch.empty_like(self.momenta)
        self._run(moved, 1.0, 0.0, out=found)
        return found

    def known_force(self) -> Tensor:
        """F at the links; a kick network's comes with what it sees."""
        return self.force() if self.loops is None else self.look().force

    def kick_at(self, force: Tensor | None, push: float, keep: float) -> None:
        """P' = keep P + push F, later, or at once with the force of another field."""
        if force is None:
            self.kick(push, keep)
        else:
            self._flush()
            self.momenta.mul_(keep).add_(force, alpha=push)
        self._pushed = True

    def kick_by(self, network: Network | None, mode: int, h: float, mixing: float | None,
                force: Tensor | None) -> None:
        """Gamma+, Gamma- or both with a flip between them of push = F e^{2 h^2 q} + h^2 t.

        With mixing of M push, M = 1 + mixing Lap; then the network may be None. F is that of the
        links unless it is given.
        """
        self._flush()
        push, kept = force, None
        if network is not None:
            local = self.look()
            push = local.force if force is None else force
            kept = None if mixing is None else self._scalars(self.links.dtype)
            out = self.momenta if mixing is None else torch.empty_like(self.momenta)
            launch_network("kick_kernel", self.links, push, None if force is None else local.force,
                           local.trace, local.square, local.rectangle, local.laplacian,
                           network.rows, network.hidden, self.momenta, self._exponent, kept, out,
                           h, *self.extents, MODE=mode, TANH=network.tanh)
            push = out
        if mixing is not None:
            launch_network("mixed_kick_kernel", self.links, self.links,
                           self.force() if push is None else push, kept, self.momenta,
                           self._exponent, h, mixing, *self.extents, MODE=mode)
        self._pushed = True

    def move(self, network: Network | None, mu: int, odd: bool | None, e: float, sign: int,
             mixing: float | None, smooth: bool) -> None:
        """U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U of one direction.

        `odd` counts the sites of this field, None moves both parities. `smooth`: c or mixing is not
        0.
        """
        self._flush()
        if network is not None or smooth:
            self._renew_links()
        if smooth and self._pushed:
            renew(self.part, self.momenta)
            self._pushed = False
        sites = math.prod(self.extents) // (1 if odd is None else 2)
        launch_drift("subset_kernel", self.links, math.ceil(sites / BLOCK), self.links,
                     self.momenta, None if network is None else network.rows,
                     0 if network is None else network.hidden, e, float(sign), mixing or 0.0, mu,
                     int(bool(odd)), self.links.shape[2], *self.extents, HALF=odd is not None,
                     SMOOTH=smooth, TANH=network is not None and network.tanh)
        self._moved = True

    def move_rest(self, mu: int, odd: bool, step: float) -> None:
        """U' = exp(step P) U of all links but those of direction mu and this parity."""
        self._flush()
        launch_drift("rest_kernel", self.links, self.links.shape[2], self.links, self.momenta,
                     step, mu, int(odd), *self.extents)
        self._moved = True

    def arrive(self) -> None:
        """A drift is over."""
        self._renew_links()
        self.known = self._local = None

    def drift(self, step: float) -> None:
        """U' = exp(step P) U."""
        super().drift(step)
        self._local = None

    def log_det(self) -> Tensor:
        """log|J| = 8 sum h s so far, float64 [Nb]."""
        if self._exponent is None:
            return torch.zeros(len(self.links), dtype=torch.float64, device=self.links.device)
        sites = self._exponent.flatten(2)[:, :, :math.prod(self.extents)]
        return COMPONENTS * sums.of_links(self.part, sites.unflatten(2, self.extents))

    def _has(self, loop: str) -> bool:
        return self.loops is not None and loop in self.loops

    def _scalars(self, number: torch.dtype) -> Tensor:
        """A scalar of each link, 0."""
        return torch.zeros(*self.links.shape[:3], 1, LANES, dtype=number, device=self.links.device)

    def _smoothed(self, field: Tensor) -> Tensor:
        found = torch.empty_like(field)
        launch_network("laplacian_kernel", self.links, self.links, field, found, *self.extents)
        return found

    def _renew_links(self) -> None:
        if self._moved:
            renew(self.part, self.links)
            self._moved = False

    def _flush(self) -> None:
        """What waits is done, with a force that nobody keeps unless it is known."""
        if self.known is None and self._push != 0.0:
            self._run(self.links, self._push, self._keep)
            self._keep, self._push = 1.0, 0.0
        self._settle()
