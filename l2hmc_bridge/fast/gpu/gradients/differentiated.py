"""The Triton kernels with their analytic gradients, as `fast/recorded.py` wants them.

Links are kept with their numbers apart (planar.py), 96 bytes in double precision.
"""

import inspect
import math
from typing import Any, cast

import torch
from torch import Tensor

from l2hmc_bridge.fast.cpu.library import plain
from l2hmc_bridge.fast.gpu import functions, planar
from l2hmc_bridge.fast.gpu.gradients.trials import agrees
from l2hmc_bridge.fast.gpu.launch import BLOCK, launch, launch_planar
from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.planar import ALGEBRA, LANES
from l2hmc_bridge.fast.gpu.staple_fields import algebra, laplacian, per_link
from l2hmc_bridge.fast.recorded import Kernels

MATRIX, PLANES, NINE = 18, 6, 9
NOTHING, ALGEBRA_OWN, SCALAR_OWN = range(3)  # paths.py


class PlanarLinks:
    """Links with their numbers apart."""

    def __init__(self, links: Tensor):
        self.links, self.where = planar.apart(links)
        self.extents = self.where.extents

    def action(self, beta: float, c1: float) -> Tensor:
        """S, [Nb]."""
        return totals.action(self.links, self.where, beta, c1)

    def action_pullback(self, gradient: Tensor, beta: float, c1: float) -> Tensor:
        """Force times what each chain's action counts."""
        force = self._force(beta, c1)
        return self._leave(force.mul_(gradient.to(force.dtype).view(-1, 1, 1, 1, 1)), 2.0)

    def force(self, beta: float, c1: float) -> Tensor:
        """F."""
        return planar.leave(self._force(beta, c1), self.extents)

    def force_pullback(self, gradient: Tensor, beta: float, c1: float) -> Tensor:
        """k [TA(U A V) - 1/2 TA(U dA)] with V of half the gradient, W = -2 V U."""
        field = algebra(self.links, gradient, self.extents, scale=0.5)
        changes = self._room(MATRIX)
        self._start("weights.force_changes_kernel", field, changes)
        along = self._pull(changes, field, beta / 6 * (1 - 8 * c1), ALGEBRA_OWN)
        if c1 != 0.0:
            self._start("paths.rectangle_pullback_kernel", changes, field, along, beta / 6 * c1)
        return self._leave(along, 2.0)

    def staple_trace(self) -> Tensor:
        """Re tr(U A)."""
        return per_link(self.links, self.extents, "trace")

    def staple_trace_pullback(self, gradient: Tensor) -> Tensor:
        """With W = w U."""
        weights, changes = plain(gradient), self._room(MATRIX)
        self._start("weights.trace_changes_kernel", weights, changes)
        return self._leave(self._pull(changes, weights, 1.0, SCALAR_OWN), 2.0)

    def loop_square(self) -> Tensor:
        """TA((U A)^2) / 36."""
        return per_link(self.links, self.extents, "square")

    def loop_square_pullback(self, gradient: Tensor) -> Tensor:
        """With M = U A and V of half the gradient, W = -(M V + V M) U / 18."""
        field = algebra(self.links, gradient, self.extents, scale=0.5)
        changes, along = self._room(MATRIX), self._room(ALGEBRA)
        self._start("weights.square_changes_kernel", field, changes, along)
        return self._leave(self._pull(changes, None, 1.0, NOTHING, along=along), 2.0)

    def staple_square(self, mu: int) -> Tensor:
        """tr(A A^dagger) of one direction."""
        return per_link(self.links, self.extents, "norm", mu)

    def algebra_in(self, field: Tensor, mu: int) -> Tensor:
        """Eight numbers; of one direction [Nb, 1, ...]."""
        return algebra(self.links, field, self.extents, mu)

    def laplacian(self, field: Tensor, transverse: bool, mu: int) -> Tensor:
        """As a torch field."""
        return laplacian(self.links, field, self.extents, transverse, mu)

    def laplacian_pullback(self, field: Tensor, gradient: Tensor, transverse: bool, mu: int
                           ) -> Tensor:
        """By the links."""
        along = self._along_transport(field, gradient, transverse, mu)
        return self._leave(along, 1.0)  # the weights are twice what a component counts

    def features_pullback(self, field: Tensor | None, to_square: Tensor | None,
                          gradient: Tensor | None, mu: int) -> Tensor:
        """With W = 2 w A^dagger for the square, which counts twice beside the Laplacian's."""
        along: Tensor | None = None
        if field is not None and gradient is not None:
            along = self._along_transport(field, gradient, True, mu)
        if to_square is not None:
            changes = self._room(MATRIX)
            self._start("weights.norm_changes_kernel", plain(to_square), changes, mu, num_warps=1)
            along = self._pull(changes, None, 2.0, NOTHING, mu, along)
        return self._leave(cast(Tensor, along), 1.0)

    def clover(self, traceless: bool) -> Tensor:
        """Three sums."""
        per_site = totals.clover(self.links, self.where, traceless)[1]
        return torch.cat([per_site[:, :2] * self.where.volume, per_site[:, 2:]], 1)

    def clover_pullback(self, gradient: Tensor, traceless: bool) -> Tensor:
        """By the links."""
        planes, along = self._planes(gradient.double(), traceless), self._room(ALGEBRA)
        self._start("clovers.clover_pullback_kernel", planes, along)
        return self._leave(along, 2.0)

    def _planes(self, weights: Tensor, traceless: bool) -> Tensor:
        """B of six planes for the weights of three sums, [Nb,3]."""
        out = self.links.new_empty(len(self.links), PLANES, self.links.shape[2], NINE, LANES)
        launch_planar("gradients.clovers.clover_changes_kernel", self.links, self.links,
                      weights.contiguous(), out, 1 / 16, 1 / (64 * math.pi**2), int(traceless),
                      *self.extents, num_warps=1)
        return out

    def _force(self, beta: float, c1: float) -> Tensor:
        return planar.force_at(self.links, self.extents, beta, c1)

    def _along_transport(self, field: Tensor, gradient: Tensor, transverse: bool, mu: int
                         ) -> Tensor:
        along = self._room(ALGEBRA)
        self._start("laplacians.laplacian_pullback_kernel", field, gradient, along, max(mu, 0),
                    int(transverse), D=field.shape[1])
        return along

    def _pull(self, changes: Tensor, own: Tensor | None, c: float, kind: int, only: int = -1,
              along: Tensor | None = None) -> Tensor:
        """-c/2 TA(U [dA + A own share]), added to `along` if that is given."""
        out = self._room(ALGEBRA) if along is None else along
        self._start("paths.staple_pullback_kernel", changes, own, out, c, only, OWN=kind,
                    ADD=along is not None)
        return out

    def _leave(self, along: Tensor, scale: float) -> Tensor:
        """scale g U as a torch field."""
        out = torch.empty(len(along), 4, *self.extents, 3, 3, dtype=along.dtype.to_complex(),
                          device=along.device)
        self._start("weights.along_kernel", along, torch.view_as_real(out), scale)
        return out

    def _room(self, numbers: int) -> Tensor:
        return self.links.new_empty(*self.links.shape[:3], numbers, LANES)

    def _start(self, kernel: str, *arguments: Any, **constants: Any) -> None:
        launch_planar(f"gradients.{kernel}", self.links, self.links, *arguments, *self.extents,
                      **constants)


class TritonKernels(Kernels):
    """Each function is tried on its GPU, with its gradient, when it is first wanted."""

    def enter(self, links: Tensor) -> PlanarLinks:
        """With numbers apart."""
        return PlanarLinks(links)

    def expm_multiply(self, momenta: Tensor, links: Tensor, step: float = 1.0) -> Tensor:
        """exp(step P) U."""
        return inspect.unwrap(functions.expm_multiply)(momenta, links, step)

    def expm_multiply_pullback(self, momenta: Tensor, links: Tensor, gradient: Tensor,
                               step: float = 1.0) -> tuple[Tensor, Tensor]:
        """(by P, by U)."""
        momenta, links, gradient = plain(momenta), plain(links), plain(gradient)
        to_momenta, to_links = torch.empty_like(momenta), torch.empty_like(links)
        count = links.numel() // 9
        launch("gradients.exponential.exp_multiply_pullback_kernel", (math.ceil(count / BLOCK),),
               momenta, links, gradient, to_momenta, to_links, float(step), count)
        return to_momenta, to_links

    def kinetic(self, momenta: Tensor) -> Tensor:
        """K."""
        return inspect.unwrap(functions.kinetic)(momenta)

    def trusts(self, name: str, field: Tensor) -> bool:
        """Whether values and gradients are torch's, but for rounding."""
        return agrees(name, self, field.device, field.dtype)


KERNELS = TritonKernels()
