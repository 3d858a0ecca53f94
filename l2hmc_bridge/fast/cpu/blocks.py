"""Fields that stay in the kernels' layout: what a trajectory does between its two borders.

A field is a plain tensor [Nb, blocks, 4, width, lanes] of a `library.Lattice`, float64 or float32:
links have width 18, algebra elements width 8 (the components x_a of sum_a x_a T_a), scalars per
link width 1. Elementwise torch operations are fine on them; sums go through `inner`, because lanes
may hold copies, and are float64. Nothing here records gradients: `pullbacks.py` has them by hand.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fast.cpu.library import ALGEBRA, LINK, Lattice
from l2hmc_bridge.fast.cpu.scratch import SCRATCH
from l2hmc_bridge.fast.cpu.shapes import check_shape

LONGEST = 3  # links in a straight line, of kernels/leaves.hpp


def links_in(lattice: Lattice, links: Tensor, out: Tensor | None = None) -> Tensor:
    """[Nb,4,Nt,Nx,Ny,Nz,3,3] of the lattice's precision -> blocked links; LayoutError else."""
    links = lattice.plain(links, lattice.shape(links.shape[0]))
    out = lattice.empty(links.shape[0], LINK) if out is None else out
    check_shape("blocks", out, lattice.field(links.shape[0], LINK))
    lattice.call("to_blocks", out, LINK, links, out)
    return out


def links_out(lattice: Lattice, blocks: Tensor) -> Tensor:
    """Inverse of `links_in`."""
    out = blocks.new_empty(*lattice.shape(blocks.shape[0]), 2)
    lattice.call("from_blocks", blocks, LINK, blocks, out)
    return torch.view_as_complex(out)


def algebra_in(lattice: Lattice, field: Tensor, chains: int, only: int = -1) -> Tensor:
    """Traceless anti-Hermitian part of [Nb,4,Nt,Nx,Ny,Nz,3,3] -> blocked components.

    With a direction `only`, of [Nb,Nt,Nx,Ny,Nz,3,3]; the other directions are not set. LayoutError
    unless these are fields of this lattice and of so many chains, those of the links beside.
    """
    field = lattice.plain(field, lattice.shape(chains, only))
    out = lattice.empty(chains, ALGEBRA)
    lattice.call("algebra_to_blocks", out, only, field, out)
    return out


def algebra_out(lattice: Lattice, blocks: Tensor, only: int = -1) -> Tensor:
    """Inverse of `algebra_in`."""
    out = blocks.new_empty(*lattice.shape(blocks.shape[0], only), 2)
    lattice.call("algebra_from_blocks", blocks, only, blocks, out)
    return torch.view_as_complex(out)


def scalars_in(lattice: Lattice, field: Tensor, chains: int) -> Tensor:
    """One real number per link [Nb,4,Nt,Nx,Ny,Nz] -> [Nb, blocks, 4, 1, lanes]; LayoutError."""
    field = lattice.plain(field, lattice.shape(chains)[:-2], complex_numbers=False)
    out = lattice.empty(chains, 1)
    lattice.call("to_blocks", out, 1, field, out)
    return out


def scalars_out(lattice: Lattice, blocks: Tensor) -> Tensor:
    """Inverse of `scalars_in`."""
    out = blocks.new_empty(lattice.shape(blocks.shape[0])[:-2])
    lattice.call("from_blocks", blocks, 1, blocks, out)
    return out


def sites_in(lattice: Lattice, numbers: Tensor, chains: int) -> Tensor:
    """One real number per site [Nb,Nt,Nx,Ny,Nz] -> [Nb, blocks, lanes]; LayoutError."""
    numbers = lattice.plain(numbers, (chains, *lattice.extents), complex_numbers=False)
    out = numbers.new_empty(chains, lattice.blocks, lattice.lanes)
    lattice.call("sites_to_blocks", out, numbers, out)
    return out


def sites_out(lattice: Lattice, blocks: Tensor) -> Tensor:
    """Inverse of `sites_in`."""
    out = blocks.new_empty(len(blocks), *lattice.extents)
    lattice.call("sites_from_blocks", blocks, blocks, out)
    return out


def force(lattice: Lattice, links: Tensor, beta: float, c1: float, out: Tensor | None = None
          ) -> Tensor:
    """Components of F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu])."""
    out = lattice.empty(links.shape[0], ALGEBRA) if out is None else out
    lattice.call("force", links, float(beta), float(c1), links, 0.0, None, 1.0, out, None,
                 None)
    return out


def kick(lattice: Lattice, momenta: Tensor, links: Tensor, beta: float, c1: float, step: float,
         keep: float = 1.0, out: Tensor | None = None) -> Tensor:
    """keep P - step F(U), the force never leaving the registers; `out` may be `momenta`."""
    out = lattice.empty(links.shape[0], ALGEBRA) if out is None else out
    lattice.call("force", links, float(beta), float(c1), links, float(keep), momenta,
                 -float(step), out, None, None)
    return out


def force_and_invariants(lattice: Lattice, links: Tensor, beta: float, c1: float,
                         out: Tensor | None = None, invariants: Tensor | None = None,
                         square: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(F, width 2: Re tr(U_mu A_mu) with the plaquette staples A and <F, F> of each link).

    A field `square` becomes the components of TA((U_mu A_mu)^2) / 36.
    """
    out = lattice.empty(links.shape[0], ALGEBRA) if out is None else out
    invariants = lattice.empty(links.shape[0], 2) if invariants is None else invariants
    lattice.call("force", links, float(beta), float(c1), links, 0.0, None, 1.0, out, invariants,
                 square)
    return out, invariants


def loop_square(lattice: Lattice, links: Tensor) -> Tensor:
    """Components of TA((U_mu A_mu)^2) / 36 with the plaquette staples A."""
    square = lattice.empty(links.shape[0], ALGEBRA)
    spare = SCRATCH.like(square)
    force_and_invariants(lattice, links, 1.0, 0.0, out=spare, square=square)
    SCRATCH.give(spare)
    return square


def drift(lattice: Lattice, momenta: Tensor, links: Tensor, step: float,
          out: Tensor | None = None) -> Tensor:
    """exp(step P) U; `out` may be `links`."""
    out = lattice.empty(links.shape[0], LINK) if out is None else out
    lattice.call("exp_multiply_blocks", links, float(step), momenta, links, out)
    return out


def tangent(lattice: Lattice, algebra: Tensor, links: Tensor, scale: float = 1.0,
            out: Tensor | None = None) -> Tensor:
    """scale X U: the derivative of exp(s scale X) U at s = 0."""
    out = lattice.empty(links.shape[0], LINK) if out is None else out
    lattice.call("algebra_multiply_blocks", links, float(scale), algebra, links, out)
    return out


def tangent_out(lattice: Lattice, algebra: Tensor, links: Tensor, scale: float = 1.0,
                weights: Tensor | None = None) -> Tensor:
    """`tangent` in the torch layout, times a weight for each chain, float64 [Nb]."""
    out = links.new_empty(*lattice.shape(links.shape[0]), 2)
    lattice.call("algebra_multiply_out", links, float(scale), weights, algebra, links, out)
    return torch.view_as_complex(out)


def staples(lattice: Lattice, links: Tensor, rectangle: bool = False, only: int = -1) -> Tensor:
    """A_mu (or A^rect_mu): the matrices that close U_mu to loops, width 18.

    With a direction `only`, of that one; the others are not set.
    """
    out = lattice.empty(links.shape[0], LINK)
    lattice.call("staples", links, int(rectangle), only, links, out)
    return out


def staple_square(lattice: Lattice, links: Tensor, mu: int) -> Tensor:
    """tr(A_mu A_mu^dagger) of the plaquette staples, [Nb, blocks, lanes]."""
    out = links.new_empty(len(links), lattice.blocks, lattice.lanes)
    lattice.call("staple_square", links, mu, links, out)
    return out


def laplacian(lattice: Lattice, links: Tensor, field: Tensor, transverse: bool = False,
              only: int = -1) -> Tensor:
    """Covariant Laplacian over four directions, or the three besides an element's own.

    With a direction `only`, of that one; the others are not set.
    """
    out = lattice.empty(links.shape[0], ALGEBRA)
    lattice.call("laplacian", links, int(transverse), only, links, field, out)
    return out


def staple_trace(lattice: Lattice, links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, width 1."""
    out = lattice.empty(links.shape[0], 1)
    lattice.call("staple_trace", links, links, out)
    return out


def charge_density(lattice: Lattice, links: Tensor, shapes: Sequence[tuple[int, int, float]],
                   traceless: bool) -> Tensor:
    """q(x) of clovers (m, n, weight) with sides from 1 to LONGEST, [Nb, blocks, lanes]."""
    density = torch.zeros(len(links), lattice.blocks, lattice.lanes, dtype=lattice.dtype)
    sides = torch.tensor([shape[:2] for shape in shapes], dtype=torch.int32)
    weights = torch.tensor([shape[2] for shape in shapes], dtype=torch.float64)
    room = SCRATCH.take((len(links), lattice.blocks, len(shapes), 9, lattice.lanes), lattice.dtype)
    lattice.call("add_charge", links, int(traceless), len(shapes), sides, weights, links, room,
                 density)
    SCRATCH.give(room)
    return density


def inner(lattice: Lattice, left: Tensor, right: Tensor) -> Tensor:
    """Sum of products over everything but the batch, each site once, [Nb]."""
    return lattice.sums("inner", left, 1, left.shape[3], left, right)[:, 0]


def kinetic(lattice: Lattice, momenta: Tensor) -> Tensor:
    """K = 1/2 sum_a p_a^2, [Nb]."""
    return 0.5 * inner(lattice, momenta, momenta)


def action(lattice: Lattice, links: Tensor, beta: float, c1: float) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    total = (1 - 8 * c1) * lattice.sums("plaquettes", links, 6, links).sum(1)
    if c1 != 0:
        total = total + c1 * lattice.sums("rectangles", links, 1, links)[:, 0]
    return -(beta / 3) * total
