"""Fields on a GPU with their numbers apart, from the start of a trajectory to its end.

Links are [Nb, 4, blocks, 12, 32], two rows of each matrix; algebra fields [Nb, 4, blocks, 8, 32];
a block is 32 sites in the order (t, x, y, z). Links must be in SU(3): what an input has beyond it
(rounding) is not seen, and not handed on. Kicks wait for the drift that follows, and run with it.
Of a part of a lattice, links that moved are renewed where they are copies of the neighbours'; what
a site becomes depends neither on its place in a block nor on the sites beside it there.
"""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fast import halo
from l2hmc_bridge.fast.cpu.library import plain
from l2hmc_bridge.fast.gpu.launch import launch_planar
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.layout import check_links
from l2hmc_bridge.fields.part import Part

LANES, LINKS, ALGEBRA = 32, 12, 8
Extents = Sequence[int]


def enter(field: Tensor, numbers: int) -> Tensor:
    """A torch field [Nb,4,Nt,Nx,Ny,Nz,3,3] with its numbers apart: LINKS or ALGEBRA of them."""
    extents = field.shape[2:6]
    blocks = math.ceil(math.prod(extents) / LANES)
    out = torch.empty(len(field), 4, blocks, numbers, LANES, dtype=field.dtype.to_real(),
                      device=field.device)
    launch_planar("planar_kernels.enter_kernel", out, torch.view_as_real(plain(field)), out,
                  *extents, NUMBERS=numbers)
    return out


def leave(field: Tensor, extents: Extents) -> Tensor:
    """The torch field of a lattice with these extents, complex [Nb,4,Nt,Nx,Ny,Nz,3,3]."""
    out = torch.empty(len(field), 4, *extents, 3, 3, dtype=field.dtype.to_complex(),
                      device=field.device)
    launch_planar("planar_kernels.leave_kernel", field, field, torch.view_as_real(out), *extents,
                  NUMBERS=field.shape[3])
    return out


def apart(links: Tensor) -> tuple[Tensor, Where]:
    """Torch links with their numbers apart, and where these are. Raises LayoutError."""
    check_links(links)
    return enter(links, LINKS), Where(tuple(links.shape[2:6]), parts.of(links))


def renew(part: Part | None, field: Tensor) -> None:
    """Replace the copies of other processes' sites in a field with its numbers apart, in place."""
    if part is not None and part.cut:
        halo.renew(part, _layers(part, field.device), field.transpose(1, 2))


@functools.lru_cache(maxsize=32)
def _layers(part: Part, device: torch.device) -> tuple[halo.Layers, ...]:
    """Where the copies are; lanes beyond the last site count as that one, as in `enter`."""
    volume = math.prod(part.held)
    places = torch.arange(math.ceil(volume / LANES) * LANES, device=device)
    return halo.layers(part, places.clamp(max=volume - 1).view(-1, LANES))


class Moving:
    """Links and momenta under way with the force F = (beta/6) TA(U [c0 A + c1 A^rect]).

    Nothing waits for the GPU unless neighbours are asked for their links. Without momenta these are
    0; `force` is that at `links`, if known: `known` is it, with its numbers apart.
    """

    def __init__(self, links: Tensor, beta: float, c1: float = 0.0, momenta: Tensor | None = None,
                 force: Tensor | None = None):
        self.links, self.where = apart(links)
        self.extents, self.part = self.where
        self.c0, self.c1 = beta / 6 * (1 - 8 * c1), beta / 6 * c1
        self.momenta = (self.links.new_zeros(*self.links.shape[:3], ALGEBRA, LANES)
                        if momenta is None else enter(momenta, ALGEBRA))
        self.known = None if force is None else enter(force, ALGEBRA)
        self._spare: Tensor | None = None  # links that no one needs
        self._keep, self._push = 1.0, 0.0  # P -> keep P + push F waits

    def kick(self, push: float, keep: float = 1.0, displacement: float = 0.0) -> None:
        """P' = keep P + push F(exp(-g F) U), later for a displacement g = 0."""
        if displacement == 0.0:
            self._keep, self._push = keep * self._keep, keep * self._push + push
            return
        self._settle()
        moved = self._room()
        self._glide(self.links, self.force(), moved, -displacement)
        renew(self.part, moved)
        self._run(moved, push, keep)

    def drift(self, step: float) -> None:
        """U' = exp(step P) U."""
        if self.known is None and self._push != 0.0:
            moved = self._room()
            self._run(self.links, self._push, self._keep, moved, step)
            self.links, self._spare = moved, self.links
            self._keep, self._push = 1.0, 0.0
        elif self._push != 0.0:
            self._from_known(self.links, step)
        else:
            self._settle()
            self._glide(self.links, self.momenta, self.links, step)
        renew(self.part, self.links)
        self.known = None

    def force(self) -> Tensor:
        """F at the links, numbers apart."""
        if self.known is None:
            self.known = torch.empty_like(self.momenta)
            self._run(self.links, 1.0, 0.0, out=self.known)
        return self.known

    def ends(self) -> tuple[Tensor, Tensor, Tensor]:
        """(U, P, F(U)) as torch fields."""
        self._settle()
        renew(self.part, self.momenta)
        return (leave(self.links, self.extents), leave(self.momenta, self.extents),
                leave(self.force(), self.extents))

    def flow(self, step: float, steps: int) -> None:
        """Steps of Luescher's third-order scheme (1006.4518, eq. C.2), for beta = 6, without P."""
        for _ in range(steps):
            for keep, push, drift in ((0.0, 1.0, -step / 4), (-17 / 36, 8 / 9, -step),
                                      (-1.0, 0.75, -step)):
                self.kick(push, keep)
                self.drift(drift)

    def _settle(self) -> None:
        """What waits is done."""
        if self._push != 0.0:
            self._from_known(None, 0.0)
        elif self._keep != 1.0:
            self.momenta.mul_(self._keep)
            self._keep = 1.0

    def _from_known(self, moved: Tensor | None, step: float) -> None:
        """The push that waits is done with the force as a field, exp(step P') U into `moved`."""
        launch_planar("planar_kernels.drift_kernel", self.links, self.links, self.momenta,
                      self.force(), moved, self._keep, self._push, float(step), *self.extents)
        self._keep, self._push = 1.0, 0.0

    def _glide(self, links: Tensor, momenta: Tensor, moved: Tensor, step: float) -> None:
        """exp(step P) U into `moved`."""
        launch_planar("planar_kernels.drift_kernel", links, links, momenta, None, moved, 1.0, 0.0,
                      float(step), *self.extents)

    def _room(self) -> Tensor:
        if self._spare is None:
            self._spare = torch.empty_like(self.links)
        return self._spare

    def _run(self, links: Tensor, push: float, keep: float, moved: Tensor | None = None,
             step: float = 0.0, out: Tensor | None = None) -> None:
        """keep P + push F of these links into P or `out`, and exp(step P') U into `moved`."""
        alone, target = self.c1 == 0.0, self.momenta if out is None else out
        launch_planar("planar_kernels.push_kernel", links, links, self.momenta,
                      links if moved is None else moved, target, push * self.c0, float(keep),
                      float(step), *self.extents, KEEP=out is None,
                      DRIFT=alone and moved is not None)
        if not alone:
            launch_planar("rectangles.rectangle_kernel", links, links, target, push * self.c1,
                          *self.extents)
            if moved is not None:
                self._glide(links, target, moved, step)


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    there, where = apart(links)
    return leave(force_at(there, where.extents, beta, c1), where.extents)


def force_at(links: Tensor, extents: Extents, beta: float, c1: float) -> Tensor:
    """F of links with their numbers apart, likewise."""
    out = links.new_empty(*links.shape[:3], ALGEBRA, LANES)
    launch_planar("planar_kernels.push_kernel", links, links, out, links, out,
                  beta / 6 * (1 - 8 * c1), 0.0, 0.0, *extents, KEEP=False, DRIFT=False)
    if c1 != 0.0:
        launch_planar("rectangles.rectangle_kernel", links, links, out, beta / 6 * c1, *extents)
    return out
