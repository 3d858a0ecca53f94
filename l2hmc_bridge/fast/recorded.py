"""Autograd functions of kernels with analytic gradients: what `gradients.py` calls.

They know fields and their gradients in the torch layout; a `Kernels` knows one sort of processor,
and a `Held` has the links in the layout of its kernels, from the way there to the way back. Each
function may be differentiated once; ActionError asks for the reference if twice is wanted.
"""

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
                "compiled kernels: second derivatives are not there; compute the first ones within "
                "`with fast.using('torch')`"
            )
        return backward(ctx, *gradients)

    return checked


class Action(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, beta: float, c1: float) -> Tensor:
        ctx.at, ctx.couplings = kernels.enter(links), (beta, c1)
        return ctx.at.action(beta, c1)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        return None, ctx.at.action_pullback(gradient, *ctx.couplings), None, None


class Force(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, beta: float, c1: float) -> Tensor:
        ctx.at, ctx.couplings = kernels.enter(links), (beta, c1)
        return ctx.at.force(beta, c1)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        return None, ctx.at.force_pullback(gradient, *ctx.couplings), None, None


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


class StapleTrace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor) -> Tensor:
        ctx.at = kernels.enter(links)
        return ctx.at.staple_trace()

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        return None, ctx.at.staple_trace_pullback(gradient)


class LoopSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor) -> Tensor:
        ctx.at = kernels.enter(links)
        return ctx.at.loop_square()

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        return None, ctx.at.loop_square_pullback(gradient)


class Laplacian(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, field: Tensor, transverse: bool, mu: int
                ) -> Tensor:
        ctx.at, ctx.which = kernels.enter(links), (transverse, mu)
        ctx.field = ctx.at.algebra_in(field, mu)
        return ctx.at.laplacian(ctx.field, *ctx.which)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        weights = ctx.at.algebra_in(gradient, ctx.which[1])
        return (None, ctx.at.laplacian_pullback(ctx.field, weights, *ctx.which),
                ctx.at.laplacian(weights, *ctx.which), None, None)


class FrozenFeatures(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, field: Tensor, mu: int
                ) -> tuple[Tensor, Tensor]:
        ctx.at, ctx.mu = kernels.enter(links), mu
        ctx.field = ctx.at.algebra_in(field, mu)
        ctx.set_materialize_grads(False)  # networks with one output ask for the square alone
        return ctx.at.staple_square(mu), ctx.at.laplacian(ctx.field, True, mu)

    @staticmethod
    @_once
    def backward(ctx, to_square: Tensor | None, to_moved: Tensor | None):
        if to_square is None and to_moved is None:
            return None, None, None, None
        if to_moved is None:
            return None, ctx.at.features_pullback(None, to_square, None, ctx.mu), None, None
        weights = ctx.at.algebra_in(to_moved, ctx.mu)
        return (None, ctx.at.features_pullback(ctx.field, to_square, weights, ctx.mu),
                ctx.at.laplacian(weights, True, ctx.mu), None)


class Clover(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kernels: Kernels, links: Tensor, traceless: bool) -> Tensor:
        ctx.at, ctx.traceless = kernels.enter(links), traceless
        return ctx.at.clover(traceless)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        return None, ctx.at.clover_pullback(gradient, ctx.traceless), None
