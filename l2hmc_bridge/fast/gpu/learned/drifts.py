"""Kernels of drifts with networks or mixing: the links of one subset after the other.

A subset is a direction, and one parity unless both move. Its program works on BLOCK of its sites;
grid: these, chains.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.learned.kicks import smoothed, staples, times_number
from l2hmc_bridge.fast.gpu.learned.scalars import inner, outputs
from l2hmc_bridge.fast.gpu.matrix import exponential, select, square_norm
from l2hmc_bridge.fast.gpu.planar_kernels import BLOCK, chain_of, here, pushed
from l2hmc_bridge.fast.gpu.planar_matrix import (
    added,
    algebra,
    complete,
    load_algebra,
    load_whole,
    store_numbers,
    times,
)

VARIES = ["nt", "nx", "ny", "nz", "hidden", "units", "mu", "chosen", "odd", "blocks"]


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


@triton.jit
def is_chosen(mu, site, chosen, odd, shape):
    """Whether a link is of direction `chosen` and this parity."""
    nt, nx, ny, nz = shape
    return (mu == chosen) & (((rest_of(site, nx, ny, nz) + site % nz) & 1) == odd)


@triton.jit
def drifted(links, out, p, c, stays, mu, site, blocks, exists):
    """U' = exp(c P) U into `out`, but U of those that stay, if some do."""
    u = load_whole(links, mu, site, blocks)
    moved = complete(times(exponential(algebra(p, c)), u))
    if stays is not None:
        moved = select(stays, u, moved)
    store_numbers(out, mu, site, blocks, moved, exists, 12)


@triton.jit(do_not_specialize=VARIES)
def subset_kernel(links, momenta, weights, hidden, out, e: tl.float64, sign: tl.float64,
                  mixing: tl.float64, mu, odd, blocks, nt, nx, ny, nz, HALF: tl.constexpr,
                  SMOOTH: tl.constexpr, TANH: tl.constexpr):
    """U' = exp(sign e [P e^{e^2 q} + (e^2 c + mixing) Lap_mu P]) U of one subset, into `out`.

    (q, c) is the network of tr A A^dagger and <P, P>, 0 without one; without SMOOTH no Lap_mu P,
    the covariant Laplacian over the directions besides mu. U' may lie where U does.
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
        total = staples(links, mu, site, shape, blocks)
        q, c, _, _, _ = outputs(weights, hidden, square_norm(total), inner(p), TANH)
        velocity = times_number(tl.exp(weight * q), p)
        share += weight * c
    if SMOOTH:
        smooth = smoothed(links, momenta, mu, site, shape, blocks, 1)
        velocity = added(share, smooth, velocity)
    drifted(links, chain_of(out, blocks, 12), velocity, tl.full((), sign * e, number), None, mu,
            site, blocks, exists)


@triton.jit(do_not_specialize=VARIES)
def rest_kernel(links, momenta, force, out, keep: tl.float64, push: tl.float64, step: tl.float64,
                chosen, odd, nt, nx, ny, nz):
    """P' = keep P + push F with a force in memory, if it is given, in the place of P, and
    U' = exp(step P') U into `out`, but U of direction `chosen` and one parity.
    """
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    p = pushed(momenta, force, keep, push, mu, site, blocks, exists)
    drifted(chain_of(links, blocks, 12), chain_of(out, blocks, 12), p,
            tl.full((), step, links.dtype.element_ty),
            is_chosen(mu, site, chosen, odd, (nt, nx, ny, nz)), mu, site, blocks, exists)
