"""Autograd functions of the compiled kernels: what `gradients.py` calls.

Each may be differentiated once; ActionError asks for the reference if twice is wanted.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fast.cpu import blocks as blocked, functions as cpu, library, pullbacks
from l2hmc_bridge.fast.cpu.library import Lattice, plain
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fields.layout import check_links


def _once(backward: Callable) -> Callable:
    @functools.wraps(backward)
    def checked(ctx, *gradients: Tensor):
        if torch.is_grad_enabled():  # what create_graph=True means here
            raise ActionError(
                "compiled kernels: second derivatives are not there; compute the first ones within "
                "`with fast.using('torch')`"
            )
        return backward(ctx, *gradients)

    return checked


def _enter(links: Tensor) -> tuple[Lattice, Tensor]:
    check_links(links)
    lattice = library.lattice_of(links)
    return lattice, blocked.links_in(lattice, links)


def _leave(lattice: Lattice, along: Tensor, blocks: Tensor, scale: float = 2.0) -> Tensor:
    """Torch's gradient 2 g U of links from the one along the group."""
    moved = blocked.tangent(lattice, along, blocks, scale, out=SCRATCH.like(blocks))
    result = blocked.links_out(lattice, moved)
    SCRATCH.give(moved)
    return result


class Action(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor, beta: float, c1: float) -> Tensor:
        ctx.lattice, ctx.blocks = _enter(links)
        ctx.couplings = beta, c1
        return blocked.action(ctx.lattice, ctx.blocks, beta, c1)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        force = blocked.force(ctx.lattice, ctx.blocks, *ctx.couplings)
        force.mul_(gradient.view(-1, 1, 1, 1, 1))
        return _leave(ctx.lattice, force, ctx.blocks), None, None


class Force(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor, beta: float, c1: float) -> Tensor:
        ctx.lattice, ctx.blocks = _enter(links)
        ctx.couplings = beta, c1
        return blocked.algebra_out(ctx.lattice,
                                   blocked.force(ctx.lattice, ctx.blocks, beta, c1))

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        weights = blocked.algebra_in(ctx.lattice, gradient).mul_(0.5)
        along = pullbacks.force_pullback(ctx.lattice, ctx.blocks, weights, *ctx.couplings)
        return _leave(ctx.lattice, along, ctx.blocks), None, None


class Exponential(torch.autograd.Function):
    @staticmethod
    def forward(ctx, momenta: Tensor, links: Tensor) -> Tensor:
        ctx.save_for_backward(momenta, links)
        return cpu.expm_multiply(momenta, links)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        momenta, links = (plain(tensor) for tensor in ctx.saved_tensors)
        to_momenta, to_links = torch.empty_like(momenta), torch.empty_like(links)
        library.call("exp_multiply_pullback", library.long(links.numel() // 9), library.threads(),
                    momenta, links, plain(gradient), to_momenta, to_links, dtype=links.dtype)
        return to_momenta, to_links


class Kinetic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, momenta: Tensor) -> Tensor:
        ctx.save_for_backward(momenta)
        return cpu.kinetic(momenta)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        (momenta,) = ctx.saved_tensors
        return momenta * (2 * gradient).to(momenta.dtype).view(-1, *[1] * (momenta.ndim - 1))


class StapleTrace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor) -> Tensor:
        ctx.lattice, ctx.blocks = _enter(links)
        return blocked.scalars_out(ctx.lattice, blocked.staple_trace(ctx.lattice, ctx.blocks))

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        along = pullbacks.staple_trace_pullback(
            ctx.lattice, ctx.blocks, blocked.scalars_in(ctx.lattice, gradient)
        )
        return _leave(ctx.lattice, along, ctx.blocks)


class LoopSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor) -> Tensor:
        ctx.lattice, ctx.blocks = _enter(links)
        return blocked.algebra_out(ctx.lattice, blocked.loop_square(ctx.lattice, ctx.blocks))

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        weights = blocked.algebra_in(ctx.lattice, gradient)
        along = pullbacks.loop_square_pullback(ctx.lattice, ctx.blocks, weights)
        return _leave(ctx.lattice, along, ctx.blocks, 1.0)  # along is of twice the gradient


class Laplacian(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor, field: Tensor, transverse: bool, mu: int) -> Tensor:
        ctx.lattice, ctx.blocks = _enter(links)
        ctx.field, ctx.which = blocked.algebra_in(ctx.lattice, field, mu), (transverse, mu)
        moved = blocked.laplacian(ctx.lattice, ctx.blocks, ctx.field, *ctx.which)
        return blocked.algebra_out(ctx.lattice, moved, mu)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        weights = blocked.algebra_in(ctx.lattice, gradient, ctx.which[1])
        to_field = blocked.laplacian(ctx.lattice, ctx.blocks, weights, *ctx.which)
        along = pullbacks.laplacian_pullback(ctx.lattice, ctx.blocks, ctx.field, weights,
                                           *ctx.which)  # of twice the weights
        return (_leave(ctx.lattice, along, ctx.blocks, 1.0),
                blocked.algebra_out(ctx.lattice, to_field, ctx.which[1]), None, None)


class FrozenFeatures(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
        ctx.lattice, ctx.blocks = _enter(links)
        ctx.field, ctx.mu = blocked.algebra_in(ctx.lattice, field, mu), mu
        square = blocked.staple_square(ctx.lattice, ctx.blocks, mu)
        moved = blocked.laplacian(ctx.lattice, ctx.blocks, ctx.field, True, mu)
        return (blocked.direction_out(ctx.lattice, square),
                blocked.algebra_out(ctx.lattice, moved, mu))

    @staticmethod
    @_once
    def backward(ctx, to_square: Tensor, to_moved: Tensor):
        lattice, blocks, mu = ctx.lattice, ctx.blocks, ctx.mu
        weights = blocked.algebra_in(lattice, to_moved, mu)
        to_field = blocked.laplacian(lattice, blocks, weights, True, mu)
        along = pullbacks.laplacian_pullback(lattice, blocks, ctx.field, weights, True, mu)
        other = pullbacks.staple_square_pullback(
            lattice, blocks, blocked.direction_in(lattice, to_square), mu
        )  # `along` is of twice the weights
        return (_leave(lattice, along.add_(other, alpha=2), blocks, 1.0),
                blocked.algebra_out(lattice, to_field, mu), None)


class Clover(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor, traceless: bool) -> Tensor:
        ctx.lattice, ctx.blocks = _enter(links)
        ctx.traceless = traceless
        return ctx.lattice.sums("clover", ctx.blocks, 3, int(traceless), ctx.blocks)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        along = pullbacks.clover_pullback(ctx.lattice, ctx.blocks, gradient, ctx.traceless)
        return _leave(ctx.lattice, along, ctx.blocks), None
