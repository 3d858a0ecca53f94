"""The hot functions on the compiled kernels with analytic gradients, for training.

Gradients of links are those along the group: G = 2 g U with g_b the derivative along
exp(s T_b) U, and momenta get theirs within su(3). That is all that a chain of exp(P) U, forces and
loops can see; components off the group, which torch's own autograd also returns, are left out.
Each function may be differentiated once; ActionError asks for the reference where twice is wanted.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import blocks as blocked, functions as cpu, library, pullbacks
from l2hmc_bridge.fast.cpu.library import Lattice, plain
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fields.layout import check_links, volume

plaquettes = reference.plaquettes
staples = reference.staples
rectangle_staples = reference.rectangle_staples
charge_density = reference.charge_density
charge = reference.charge
flow = reference.flow


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


class _Action(torch.autograd.Function):
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


class _Force(torch.autograd.Function):
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


class _Exponential(torch.autograd.Function):
    @staticmethod
    def forward(ctx, momenta: Tensor, links: Tensor) -> Tensor:
        ctx.save_for_backward(momenta, links)
        return cpu.expm_multiply(momenta, links)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        momenta, links = (plain(one) for one in ctx.saved_tensors)
        to_momenta, to_links = torch.empty_like(momenta), torch.empty_like(links)
        library.call("exp_multiply_pullback", library.long(links.numel() // 9), library.threads(),
                    momenta, links, plain(gradient), to_momenta, to_links, dtype=links.dtype)
        return to_momenta, to_links


class _Kinetic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, momenta: Tensor) -> Tensor:
        ctx.save_for_backward(momenta)
        return cpu.kinetic(momenta)

    @staticmethod
    @_once
    def backward(ctx, gradient: Tensor):
        (momenta,) = ctx.saved_tensors
        return momenta * (2 * gradient).to(momenta.dtype).view(-1, *[1] * (momenta.ndim - 1))


class _StapleTrace(torch.autograd.Function):
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


class _LoopSquare(torch.autograd.Function):
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


class _Laplacian(torch.autograd.Function):
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


class _FrozenFeatures(torch.autograd.Function):
    @staticmethod
    def forward(ctx, links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
        ctx.lattice, ctx.blocks = _enter(links)
        ctx.field, ctx.mu = blocked.algebra_in(ctx.lattice, field, mu), mu
        square, ctx.paths = blocked.staple_square(ctx.lattice, ctx.blocks, mu)
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
            lattice, blocks, ctx.paths, blocked.direction_in(lattice, to_square), mu
        )  # `along` is of twice the weights
        return (_leave(lattice, along.add_(other, alpha=2), blocks, 1.0),
                blocked.algebra_out(lattice, to_field, mu), None)


class _Clover(torch.autograd.Function):
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


def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    return _Action.apply(links, float(beta), float(c1))


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    return _Force.apply(links, float(beta), float(c1))


def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U for P in su(3), [..., 3, 3]."""
    return _Exponential.apply(*torch.broadcast_tensors(step * momenta, links))


def kinetic(momenta: Tensor) -> Tensor:
    """K = -tr P^2 over everything but the batch, [Nb]."""
    return _Kinetic.apply(momenta)


def staple_trace(links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, [Nb,4,Nt,Nx,Ny,Nz]."""
    return _StapleTrace.apply(links)


def loop_square(links: Tensor) -> Tensor:
    """TA((U_mu A_mu)^2) / 36 with the plaquette staples A, like links."""
    return _LoopSquare.apply(links)


def laplacian(links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
    """Covariant Laplacian of an algebra field, like links."""
    return _Laplacian.apply(links, field, transverse, -1)


def frozen_features(links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
    """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu)."""
    return _FrozenFeatures.apply(links, field, mu)


def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """The transverse Laplacian of one direction, X_mu [Nb,Nt,Nx,Ny,Nz,3,3]."""
    return _Laplacian.apply(links, field, True, mu)


def clover(links: Tensor, traceless: bool = True) -> Tensor:
    """(temporal energy, spatial energy) per site and charge from the clover, [Nb,3]."""
    sites = volume(links)
    return _Clover.apply(links, traceless) / torch.tensor([sites, sites, 1], dtype=torch.float64)
