"""Gradients along the group of what `blocks.py` computes, in the kernels' layout.

The gradient g of a number f has components g_b = d/ds f(exp(s T_b) U) for each link.
"""

from torch import Tensor

from l2hmc_bridge.fast.cpu import blocks
from l2hmc_bridge.fast.cpu.library import ALGEBRA, Lattice, plain
from l2hmc_bridge.fast.cpu.scratch import SCRATCH


def loop_square_pullback(lattice: Lattice, links: Tensor, gradient: Tensor) -> Tensor:
    """The gradient along the group of sum <gradient, loop_square>."""
    out = lattice.empty(links.shape[0], ALGEBRA)
    fixed = SCRATCH.like(links)
    lattice.call("square_pullback", links, links, gradient, fixed, out)
    lattice.call("path_pullback", links, -1, 1, links, fixed, out)
    SCRATCH.give(fixed)
    return out


def force_pullback(lattice: Lattice, links: Tensor, direction: Tensor, beta: float, c1: float
                   ) -> Tensor:
    """g_b, the left derivative of sum_a v_a F_a along T_b: d/ds F(exp(s V) U) + [F, V]."""
    out = lattice.empty(links.shape[0], ALGEBRA)
    moved = blocks.tangent(lattice, direction, links, out=SCRATCH.like(links))
    lattice.call("force_pullback", links, float(beta), float(c1), links, direction, moved, out)
    SCRATCH.give(moved)
    return out


def staple_square_pullback(lattice: Lattice, links: Tensor, weights: Tensor, mu: int,
                           scale: float = 1.0, add_to: Tensor | None = None) -> Tensor:
    """scale times the gradient along the group of sum weights staple_square, weights like that."""
    fixed = SCRATCH.like(links)  # only direction mu is written, and read
    lattice.call("weighted_paths", links, mu, float(scale), links, weights, fixed)
    out = lattice.empty(links.shape[0], ALGEBRA) if add_to is None else add_to
    lattice.call("path_pullback", links, mu, int(add_to is not None), links, fixed, out)
    SCRATCH.give(fixed)
    return out


def laplacian_pullback(lattice: Lattice, links: Tensor, field: Tensor, gradient: Tensor,
                       transverse: bool = False, only: int = -1) -> Tensor:
    """The gradient along the group of sum <gradient, laplacian(field)>."""
    out = lattice.empty(links.shape[0], ALGEBRA)
    lattice.call("laplacian_pullback", links, int(transverse), only, links, field, gradient, out)
    return out


def staple_trace_pullback(lattice: Lattice, links: Tensor, weights: Tensor) -> Tensor:
    """The gradient along the group of sum weights staple_trace."""
    out = lattice.empty(links.shape[0], ALGEBRA)
    lattice.call("trace_pullback", links, links, weights, out)
    return out


def clover_pullback(lattice: Lattice, links: Tensor, weights: Tensor, traceless: bool) -> Tensor:
    """The gradient along the group of sum_k weights[:, k] (the three site sums of `clover`)."""
    out = lattice.empty(links.shape[0], ALGEBRA)
    room = SCRATCH.take((links.shape[0], lattice.blocks, 6, 9, lattice.lanes), lattice.dtype)
    lattice.call("clover_pullback", links, int(traceless), links, plain(weights), room, out)
    SCRATCH.give(room)
    return out
