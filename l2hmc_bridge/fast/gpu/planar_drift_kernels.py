"""Kernels of drifts with networks or mixing: the links of one subset after the other, in place.

A subset is a direction, and one parity unless both move. A program works on BLOCK of its sites;
grid: these, chains.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import exponential, nothing, square_norm
from l2hmc_bridge.fast.gpu.planar_kernels import BLOCK, chain_of, coordinate, here, staple_pair
from l2hmc_bridge.fast.gpu.planar_matrix import (
    added,
    algebra,
    load_algebra,
    load_whole,
    store_numbers,
    times,
)
from l2hmc_bridge.fast.gpu.planar_network_kernels import VARIES, smoothed, times_number
from l2hmc_bridge.fast.gpu.planar_scalars import inner, outputs


@triton.jit
def rest_of(site, nx, ny, nz):
    """t + x + y of the site."""
    row = site // nz
    return row % ny + (row // ny) % nx + row // (ny * nx)


@triton.jit
def in_subset(odd, nt, nx, ny, nz, HALF: tl.constexpr):
    """(site, whether it exists) of each thread; the last site for those beyond.

    HALF: the sites of one parity, of rows along z of even length.
    """
    number = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if HALF:
        count, half = nt * nx * ny * nz // 2, nz // 2
        exists, number = number < count, tl.minimum(number, count - 1)
        site = number // half * nz + 2 * (number % half)
        site += (rest_of(site, nx, ny, nz) + odd) & 1
    else:
        count = nt * nx * ny * nz
        exists, site = number < count, tl.minimum(number, count - 1)
    return site, exists


@triton.jit(do_not_specialize=VARIES)
def subset_kernel(links, momenta, weights, hidden, e: tl.float64, sign: tl.float64,
                  mixing: tl.float64, mu, odd, blocks, nt, nx, ny, nz, HALF: tl.constexpr,
                  SMOOTH: tl.constexpr, TANH: tl.constexpr):
    """U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U of one subset.

    (q, c) is the network of tr A A^dagger and <P, P>, 0 without one; without SMOOTH no Lap_mu P,
    the covariant Laplacian over the directions besides mu.
    """
    shape = (nt, nx, ny, nz)
    site, exists = in_subset(odd, nt, nx, ny, nz, HALF)
    links, momenta = chain_of(links, blocks, 12), chain_of(momenta, blocks, 8)
    number = links.dtype.element_ty
    weight = tl.full((), e * e, number)
    p = load_algebra(momenta, mu, site, blocks)
    share = tl.zeros_like(p[0]) + tl.full((), mixing, number)
    velocity = p
    if weights is not None:
        along = coordinate(mu, site, shape)
        total = nothing(p[0])
        for k in range(1, 4):
            nu = mu ^ k
            total = staple_pair(links, total, mu, nu, site, along, coordinate(nu, site, shape),
                                blocks)
        q, c, _, _, _ = outputs(weights, hidden, square_norm(total), inner(p), TANH)
        velocity = times_number(tl.exp(weight * q), p)
        share += weight * c
    if SMOOTH:
        smooth = smoothed(links, momenta, mu, site, shape, blocks, 1)
        velocity = added(share, smooth, velocity)
    moved = times(exponential(algebra(velocity, tl.full((), sign * e, number))),
                  load_whole(links, mu, site, blocks))
    store_numbers(links, mu, site, blocks, moved, exists, 12)


@triton.jit(do_not_specialize=VARIES)
def rest_kernel(links, momenta, step: tl.float64, mu, odd, nt, nx, ny, nz):
    """U' = exp(step P) U of all links but those of direction mu and one parity."""
    blocks = tl.num_programs(0)
    direction, site, exists = here(nt, nx, ny, nz)
    links = chain_of(links, blocks, 12)
    number = links.dtype.element_ty
    p = load_algebra(chain_of(momenta, blocks, 8), direction, site, blocks)
    moved = times(exponential(algebra(p, tl.full((), step, number))),
                  load_whole(links, direction, site, blocks))
    of_parity = ((rest_of(site, nx, ny, nz) + site % nz) & 1) == odd
    rest = exists & ((direction != mu) | (of_parity == 0))
    store_numbers(links, direction, site, blocks, moved, rest, 12)
