"""The compiled kernels with their analytic gradients, as `fast/recorded.py` wants them."""

from typing import cast

import torch
from torch import Tensor

from l2hmc_bridge.fast.cpu import blocks, functions, library, pullbacks
from l2hmc_bridge.fast.cpu.library import plain
from l2hmc_bridge.fast.cpu.shapes import REAL, check_matrices, check_real, check_shape
from l2hmc_bridge.fast.recorded import Kernels
from l2hmc_bridge.fields.layout import check_links


class BlockedLinks:
    """Links in blocks: `blocks.py` and `pullbacks.py` on them."""

    def __init__(self, links: Tensor):
        check_links(links)
        self.lattice = library.lattice_of(links)
        self.links = blocks.links_in(self.lattice, links)

    def action(self, beta: float, c1: float) -> Tensor:
        """S, [Nb]."""
        return blocks.action(self.lattice, self.links, beta, c1)

    def action_pullback(self, gradient: Tensor, beta: float, c1: float) -> Tensor:
        """Force times what each chain's action counts."""
        force = blocks.force(self.lattice, self.links, beta, c1)
        return self._leave(force, weights=plain(gradient))

    def force(self, beta: float, c1: float) -> Tensor:
        """F."""
        return blocks.algebra_out(self.lattice,
                                  blocks.force(self.lattice, self.links, beta, c1))

    def force_pullback(self, gradient: Tensor, beta: float, c1: float) -> Tensor:
        """By the links."""
        weights = blocks.algebra_in(self.lattice, gradient, len(self.links))
        along = pullbacks.force_pullback(self.lattice, self.links, weights, beta, c1)
        return self._leave(along, 1.0)  # along is of twice the gradient

    def staple_trace(self) -> Tensor:
        """Re tr(U A)."""
        return blocks.scalars_out(self.lattice, blocks.staple_trace(self.lattice, self.links))

    def staple_trace_pullback(self, gradient: Tensor) -> Tensor:
        """By the links."""
        weights = blocks.scalars_in(self.lattice, gradient, len(self.links))
        return self._leave(pullbacks.staple_trace_pullback(self.lattice, self.links, weights))

    def loop_square(self) -> Tensor:
        """TA((U A)^2) / 36."""
        return blocks.algebra_out(self.lattice, blocks.loop_square(self.lattice, self.links))

    def loop_square_pullback(self, gradient: Tensor) -> Tensor:
        """By the links."""
        weights = blocks.algebra_in(self.lattice, gradient, len(self.links))
        along = pullbacks.loop_square_pullback(self.lattice, self.links, weights)
        return self._leave(along, 1.0)  # along is of twice the gradient

    def staple_square(self, mu: int) -> Tensor:
        """tr(A A^dagger) of one direction."""
        return blocks.sites_out(self.lattice,
                                blocks.staple_square(self.lattice, self.links, mu))

    def algebra_in(self, field: Tensor, mu: int) -> Tensor:
        """Blocked components."""
        return blocks.algebra_in(self.lattice, field, len(self.links), mu)

    def laplacian(self, field: Tensor, transverse: bool, mu: int) -> Tensor:
        """As a torch field."""
        moved = blocks.laplacian(self.lattice, self.links, field, transverse, mu)
        return blocks.algebra_out(self.lattice, moved, mu)

    def laplacian_pullback(self, field: Tensor, gradient: Tensor, transverse: bool, mu: int
                           ) -> Tensor:
        """By the links."""
        along = pullbacks.laplacian_pullback(self.lattice, self.links, field, gradient,
                                             transverse, mu)
        return self._leave(along, 1.0)  # along is of twice the gradient

    def features_pullback(self, field: Tensor | None, to_square: Tensor | None,
                          gradient: Tensor | None, mu: int) -> Tensor:
        """By the links."""
        along: Tensor | None = None  # of twice the gradient
        if field is not None and gradient is not None:
            along = pullbacks.laplacian_pullback(self.lattice, self.links, field, gradient, True,
                                                 mu)
        if to_square is not None:
            weights = blocks.sites_in(self.lattice, to_square, len(self.links))
            along = pullbacks.staple_square_pullback(self.lattice, self.links, weights, mu, 2.0,
                                                     add_to=along)
        return self._leave(cast(Tensor, along), 1.0)

    def clover(self, traceless: bool) -> Tensor:
        """Three sums."""
        return self.lattice.sums("clover", self.links, 3, int(traceless), self.links)

    def clover_pullback(self, gradient: Tensor, traceless: bool) -> Tensor:
        """By the links."""
        return self._leave(
            pullbacks.clover_pullback(self.lattice, self.links, gradient, traceless))

    def _leave(self, along: Tensor, scale: float = 2.0, weights: Tensor | None = None) -> Tensor:
        """Torch's gradient 2 g U of links from g along the group, times a weight per chain."""
        return blocks.tangent_out(self.lattice, along, self.links, scale, weights)


class CompiledKernels(Kernels):
    """What holds on one machine holds in every call: nothing is tried first."""

    def enter(self, links: Tensor) -> BlockedLinks:
        """In blocks."""
        return BlockedLinks(links)

    def expm_multiply(self, momenta: Tensor, links: Tensor, step: float = 1.0) -> Tensor:
        """exp(step P) U."""
        return functions.expm_multiply(momenta, links, step)

    def expm_multiply_pullback(self, momenta: Tensor, links: Tensor, gradient: Tensor,
                               step: float = 1.0) -> tuple[Tensor, Tensor]:
        """(by P, by U)."""
        check_matrices(momenta, links, gradient)
        check_real(REAL[links.dtype], momenta, gradient)
        for name, field in (("momenta", momenta), ("gradient", gradient)):
            check_shape(name, field, links.shape)
        momenta, links = plain(momenta), plain(links)
        to_momenta, to_links = torch.empty_like(momenta), torch.empty_like(links)
        library.call("exp_multiply_pullback", library.long(links.numel() // 9), library.threads(),
                     float(step), momenta, links, plain(gradient), to_momenta, to_links,
                     dtype=links.dtype)
        return to_momenta, to_links

    def kinetic(self, momenta: Tensor) -> Tensor:
        """K."""
        return functions.kinetic(momenta)

    def trusts(self, name: str, field: Tensor) -> bool:
        """Always: what does not work is not installed."""
        return True
