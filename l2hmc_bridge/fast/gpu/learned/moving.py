"""Kicks and drifts with scalar networks on a GPU, on fields with their numbers apart (planar.py).

A kick waits for the drift that follows: then one kernel computes the force, what the network sees
of it, the kick and the drift. Only at a field with a second kick, or where the trajectory ends, do
force and invariants go to memory; the next trajectory begins with them. Copies of neighbours' sites
are renewed when something that looks at them comes after what changed them. At each link h s of all
kicks is summed up; sums over links wait for the end.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from l2hmc_bridge.fast.gpu import sums
from l2hmc_bridge.fast.gpu.launch import BLOCK, launch_planar
from l2hmc_bridge.fast.gpu.learned.moves import NOBODY, PLAIN, STILL, Drift, Kick, Subset
from l2hmc_bridge.fast.gpu.learned.networks import Network, of_network
from l2hmc_bridge.fast.gpu.learned.seeing import Seeing
from l2hmc_bridge.fast.gpu.planar import renew
from l2hmc_bridge.fields.part import Part

COMPONENTS = 8  # of a momentum, scaled by e^{h s}


def log_det(exponent: Tensor, part: Part | None) -> Tensor:
    """log|J| = 8 sum h s over the links of all processes, float64 [Nb]."""
    return COMPONENTS * sums.of_links(part, exponent)


class Learned(Seeing):
    """Links and momenta under way, whose kicks may have networks and drifts go subset by subset."""

    def __init__(self, links: Tensor, beta: float, c1: float, momenta: Tensor, force: Tensor,
                 loops: Sequence[str] | None = None):
        super().__init__(links, beta, c1, momenta, force, loops)
        self._waiting: Kick | None = None
        self._exponent = None if loops is None else self.scalars(torch.float64).zero_()
        self._moved = self._pushed = False  # since copies of links, of momenta were renewed

    def kick_at(self, force: Tensor | None, push: float, keep: float) -> None:
        """P' = keep P + push F, later, or at once with the force of another field."""
        if force is not None:
            self._flush()
            launch_planar("planar_kernels.drift_kernel", self.links, self.links, self.momenta,
                          force, None, keep, push, 0.0, *self.extents)
        elif self._waiting is not None and push == 0.0:
            self._waiting = self._waiting._replace(keep=keep * self._waiting.keep)
        else:
            self.kick(push, keep)
        self._pushed = True

    def kick_by(self, network: Network, mode: int, h: float, mixing: float | None,
                force: Tensor | None) -> None:
        """Gamma+, Gamma- or both with a flip between them of push = F e^{2 h^2 q} + h^2 t, later.

        With mixing of M push, M = 1 + mixing Lap. F is that of the links unless it is given.
        """
        self._settle()
        self._waiting, self._pushed = Kick(network, mode, h, mixing, force), True

    def kick_mixed(self, push: float, keep: float, mixing: float, force: Tensor | None) -> None:
        """P' = keep P + push M F, M = 1 + mixing Lap, of this force or that of the links."""
        keep, self._keep = keep * self._keep, 1.0
        self._mix(self.force() if force is None else force, None, PLAIN, push, keep, mixing)
        self._pushed = True

    def drift(self, step: float) -> None:
        """U' = exp(step P) U."""
        if self._waiting is None:
            super().drift(step)
        else:
            self._advance(step, 1, NOBODY)

    def take_turn(self, subset: Subset, e: float, sign: int, smooth: bool, first: bool) -> None:
        """A drift that moves a subset by its network, before or after all others by P alone.

        `smooth`: c of the network is not 0.
        """
        within = first and not smooth and self._passing()
        before = self._advance(e, sign, subset if within else subset._replace(network=None))
        if not within:
            self._move(before if first else self.links, subset.network, subset.mu, subset.odd, e,
                       sign, None, smooth)

    def move(self, network: Network | None, mu: int, odd: bool | None, e: float, sign: int,
             mixing: float | None, smooth: bool) -> None:
        """U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U of one direction.

        `odd` counts the sites of this field, None moves both parities. `smooth`: c or mixing is not
        0.
        """
        self._flush()
        self._move(self.links, network, mu, odd, e, sign, mixing, smooth)

    def arrive(self) -> None:
        """A drift is over."""
        self._renew_links()
        self.known = self.local = None

    def exponent(self) -> Tensor:
        """sum h s of each link so far, float64 [Nb,4,Nt,Nx,Ny,Nz], with a network for kicks."""
        sites = cast(Tensor, self._exponent).flatten(2)[:, :, :math.prod(self.extents)]
        return sites.unflatten(2, self.extents)

    def _advance(self, e: float, sign: int, subset: Subset) -> Tensor:
        """What waits is done, and exp(sign e P) U but of a subset; the links before."""
        before, moved = self.links, self._room()
        drift = Drift(moved, e, sign, subset)
        if self._passing():
            self._pass(drift)
        elif self._waiting is not None:
            self._from_memory(drift)
        else:
            force = None if self._push == 0.0 else self.force()
            if force is None:
                self._settle()
            launch_planar("learned.drifts.rest_kernel", before, before, self.momenta, force, moved,
                          self._keep, self._push, sign * e, subset.mu, int(subset.odd),
                          *self.extents)
            self._keep, self._push = 1.0, 0.0
        self.links, self._spare = moved, before
        self._moved = True
        return before

    def _passing(self) -> bool:
        """Whether the force of what waits may stay in registers."""
        kick = self._waiting
        if kick is None:
            return self.known is None and self._push != 0.0
        return self.local is None and kick.force is None and not self.sees("laplacian")

    def _pass(self, drift: Drift) -> None:
        """What waits, with a force on its way, and a drift."""
        kick, self._waiting = self._waiting, None
        rectangle = self.rectangles(kick is not None and self.sees("rectangle"))
        network, mode, h, keep = ((None, PLAIN, self._push, self._keep) if kick is None
                                  else (kick.network, kick.mode, kick.h, kick.keep))
        kept, out = self._rooms(kick)
        turn = drift.subset.network
        launch_planar("learned.steps.step_kernel", self.links, self.links, rectangle,
                      *of_network(network), self.momenta, self._exponent, kept, out,
                      *of_network(turn), drift.moved, self.c0, self.c1, h, keep, drift.e,
                      float(drift.sign), drift.subset.mu, int(drift.subset.odd), *self.extents,
                      MODE=mode, SQUARE=self.sees("square"),
                      TANH=network is not None and network.tanh,
                      TURN_TANH=turn is not None and turn.tanh)
        if kick is None:
            self._keep, self._push = 1.0, 0.0
        elif kick.mixing is not None:
            self._mix(out, kept, kick.mode, kick.h, kick.keep, kick.mixing)

    def _from_memory(self, drift: Drift) -> None:
        """The kick that waits, at a field that was looked at or with another force, and a drift."""
        kick, self._waiting = cast(Kick, self._waiting), None
        local, network = self.look(), kick.network
        kept, out = self._rooms(kick)
        launch_planar("learned.steps.known_kernel", self.links, self.links,
                      local.force if kick.force is None else kick.force,
                      None if kick.force is None else local.force, local.trace, local.square,
                      local.rectangle, *of_network(network), self.momenta, self._exponent, kept,
                      out, drift.moved, kick.h, kick.keep, drift.sign * drift.e, drift.subset.mu,
                      int(drift.subset.odd), *self.extents, MODE=kick.mode,
                      LAPLACIAN=self.sees("laplacian"), TANH=network.tanh)
        if kick.mixing is not None:
            self._mix(out, kept, kick.mode, kick.h, kick.keep, kick.mixing)

    def _rooms(self, kick: Kick | None) -> tuple[Tensor | None, Tensor]:
        """Where s and the push of a kick are kept for mixing; without it (None, momenta)."""
        if kick is None or kick.mixing is None:
            return None, self.momenta
        return self.scalars(self.links.dtype), torch.empty_like(self.momenta)

    def _mix(self, push: Tensor, kept: Tensor | None, mode: int, h: float, keep: float,
             mixing: float) -> None:
        launch_planar("learned.kicks.mixed_kick_kernel", self.links, self.links, push, kept,
                      self.momenta, self._exponent, h, keep, mixing, *self.extents, MODE=mode)

    def _move(self, links: Tensor, network: Network | None, mu: int, odd: bool | None, e: float,
              sign: int, mixing: float | None, smooth: bool) -> None:
        """One direction at these links, which are those before this drift or under way."""
        if links is self.links and (network is not None or smooth):
            self._renew_links()
        if smooth and self._pushed:
            renew(self.part, self.momenta)
            self._pushed = False
        sites = math.prod(self.extents) // (1 if odd is None else 2)
        launch_planar("learned.drifts.subset_kernel", links, links, self.momenta,
                      *of_network(network), self.links, e, float(sign), mixing or 0.0, mu,
                      int(bool(odd)), links.shape[2], *self.extents,
                      programs=math.ceil(sites / BLOCK), HALF=odd is not None, SMOOTH=smooth,
                      TANH=network is not None and network.tanh)
        self._moved = True

    def _renew_links(self) -> None:
        if self._moved:
            renew(self.part, self.links)
            self._moved = False

    def _settle(self) -> None:
        """What waits is done at a field that is looked at."""
        if self._waiting is not None:
            self._from_memory(STILL)
        super()._settle()

    def _flush(self) -> None:
        """What waits is done, with a force that nobody keeps unless it is known."""
        if self._waiting is not None and self._passing():
            self._pass(STILL)
        elif self.known is None and self._push != 0.0:
            self._run(self.links, self._push, self._keep)
            self._keep, self._push = 1.0, 0.0
        self._settle()
