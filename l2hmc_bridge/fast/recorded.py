"""Autograd functions of kernels with analytic gradients: what `gradients.py` calls.

They know fields and their gradients in the torch layout; a `Kernels` knows one sort of processor,
and a `Held` has the links in the layout of its kernels, from the way there to the way back. Each
function may be differentiated once; ActionError asks for the reference if twice is wanted.
"""

import copy
import functools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError


class Held(Protocol):
    """Links U in the kernels' layout.

    What ends in `_pullback` takes the gradient of a number by the result of that name, and returns
    that by U, 2 g U with g the gradient along the group. Scalars of links are [Nb,4,Nt,Nx,Ny,Nz];
    `mu` = -1 means all directions.
    """

    links: Tensor  # in the kernels' layout

    def action(self, beta: float, c1: float) -> Tensor: ...
    def action_pullback(self, gradient: Tensor, beta: float, c1: float) -> Tensor: ...
    def force(self, beta: float, c1: float) -> Tensor: ...
    def force_pullback(self, gradient: Tensor, beta: float, c1: float) -> Tensor: ...
    def staple_trace(self) -> Tensor: ...
    def staple_trace_pullback(self, gradient: Tensor) -> Tensor: ...
    def loop_square(self) -> Tensor: ...
    def loop_square_pullback(self, gradient: Tensor) -> Tensor: ...
    def staple_square(self, mu: int) -> Tensor: ...

    def algebra_in(self, field: Tensor, mu: int) -> Tensor:
        """The traceless anti-Hermitian part of a field, in the kernels' layout."""

    def laplacian(self, field: Tensor, transverse: bool, mu: int) -> Tensor:
        """The Laplacian of such a field, as a torch field."""

    def laplacian_pullback(self, field: Tensor, gradient: Tensor, transverse: bool, mu: int
                           ) -> Tensor:
        """Both in the kernels' layout."""

    def features_pullback(self, field: Tensor | None, to_square: Tensor | None,
                          gradient: Tensor | None, mu: int) -> Tensor:
        """Of `staple_square` and the transverse `laplacian` of one direction, or of one of them."""

    def clover(self, traceless: bool) -> Tensor:
        """Sums over the lattice of temporal and spatial energies and of the charge, [Nb,3]."""

    def clover_pullback(self, gradient: Tensor, traceless: bool) -> Tensor: ...


class Kernels(Protocol):
    """The kernels of one sort of processor."""

    def enter(self, links: Tensor) -> Held:
        """Raises LayoutError."""

    def expm_multiply(self, momenta: Tensor, links: Tensor, step: float = 1.0) -> Tensor: ...
    def expm_multiply_pullback(self, momenta: Tensor, links: Tensor, gradient: Tensor,
                               step: float = 1.0) -> tuple[Tensor, Tensor]: ...
    def kinetic(self, momenta: Tensor) -> Tensor: ...

    def trusts(self, name: str, field: Tensor) -> bool:
        """Whether the function of this name may serve such fields, gradients included."""


def _once(backward: Callable) -> Callable:
    @functools.wraps(backward)
    def checked(ctx, *gradients: Tensor | None):
        if torch.is_grad_enabled():  # what create_graph=True means here
            raise ActionError(
                "kernels: second derivatives are not there; compute the first ones within "
                "`with fast.using('torch')`"
            )
        return backward(ctx, *gradients)

    return checked


def _keep(ctx, at: Held, *fields: Tensor) -> None:
    """Links and fields as autograd keeps what a way back needs, and lets go of it."""
    ctx.save_for_backward(at.links, *fields)
    ctx.at = copy.copy(at)
    del ctx.at.links


def _kept(ctx) -> tuple[Held, tuple[Tensor, ...]]:
    links, *fields = ctx.saved_tensors
    at = copy.copy(ctx.at)
    at.links = links
    return at, tuple(fields)


def _of_links(there: Callable[..., Tensor], back: Callable[..., Tensor]
              ) -> type[torch.autograd.Function]:
    """A function of links and settings alone: what a Held has `there`, and its pullback."""

    class OfLinks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, kernels: Kernels, links: Tensor, *settings: float) -> Tensor:
            at, ctx.settings = kernels.enter(links), settings
            _keep(ctx, at)
            return there(at, *settings)

        @staticmethod
        @_once
        def backward(ctx, gradient: Tensor):
            at, _ = _kept(ctx)
            return None, back(at, gradient, *ctx.settings), *[None] * len(ctx.settings)

    return OfLinks


Action = _of_links(lambda at, *couplings: at.action(*couplings),
                   lambda at, gradient, *couplings: at.action_pullback(gradient, *couplings))
Force = _of_links(lambda at, *couplings: at.force(*couplings),
                  lambda at, gradient, *couplings: at.force_pullback(gradient, *couplings))
StapleTrace = _of_links(lambda at: at.staple_trace(),
                        lambda at, gradient: at.staple_trace_pullback(gradient))
LoopSquare = _of_links(lambda at: at.loop_square(),
                       lambda at, gradient: at.loop_square_pullback(gradient))
Clover = _of_links(lambda at, traceless: at.clover(traceless),
                   lambda at, gradient, traceless: at.clover_pullback(gradient, traceless))


class Exponential(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, momenta: Tensor, links: Tensor, step: float) -> Tensor:
        ctx.kernels, ctx.step = kernels, step
        ctx.save_for_backward(momenta, links)
        return kernels.expm_multiply(momenta, links, step)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        found = ctx.kernels.expm_multiply_pullback(*ctx.saved_tensors, gradient, ctx.step)
        return None, *found, None


class Kinetic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, momenta: Tensor) -> Tensor:
        ctx.save_for_backward(momenta)
        return kernels.kinetic(momenta)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        (momenta,) = ctx.saved_tensors
        scale = (2 * gradient).to(momenta.dtype).view(-1, *[1] * (momenta.ndim - 1))
        return None, momenta * scale


class Laplacian(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, field: Tensor, transverse: bool, mu: int
                ) -> Tensor:
        at, ctx.which = kernels.enter(links), (transverse, mu)
        moving = at.algebra_in(field, mu)
        _keep(ctx, at, moving)
        return at.laplacian(moving, *ctx.which)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        at, (field,) = _kept(ctx)
        weights = at.algebra_in(gradient, ctx.which[1])
        return (None, at.laplacian_pullback(field, weights, *ctx.which),
                at.laplacian(weights, *ctx.which), None, None)


class FrozenFeatures(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, field: Tensor, mu: int
                ) -> tuple[Tensor, Tensor]:
        at, ctx.mu = kernels.enter(links), mu
        moving = at.algebra_in(field, mu)
        ctx.set_materialize_grads(False)  # networks with one output ask for the square alone
        _keep(ctx, at, moving)
        return at.staple_square(mu), at.laplacian(moving, True, mu)

    @staticmethod
    @_once
    def backward(ctx, to_square: Tensor | None, to_moved: Tensor | None):
        if to_square is None and to_moved is None:
            return None, None, None, None
        at, (field,) = _kept(ctx)
        if to_moved is None:
            return None, at.features_pullback(None, to_square, None, ctx.mu), None, None
        weights = at.algebra_in(to_moved, ctx.mu)
        return (None, at.features_pullback(field, to_square, weights, ctx.mu),
                at.laplacian(weights, True, ctx.mu), None)
