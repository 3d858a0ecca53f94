"""Kernels of rectangles on fields with their numbers apart (planar.py), walked link by link.

Programs as those of planar_kernels.py. A way leads from x + mu to x in five steps, two bits each,
the first one lowest: 0, 1 along mu and back, 2, 3 along nu and back. Links must be in SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import combine, dagger, nothing, product, select
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, coordinate, here, hop
from l2hmc_bridge.fast.gpu.planar_matrix import (
    added,
    complete,
    load_algebra,
    load_whole,
    project,
    store_numbers,
    times,
)

VARIES = ["nt", "nx", "ny", "nz"]
TALL = tl.constexpr(2 | 2 << 2 | 1 << 4 | 3 << 6 | 3 << 8)
AHEAD = tl.constexpr(0 | 2 << 2 | 1 << 4 | 1 << 6 | 3 << 8)
BEHIND = tl.constexpr(2 | 1 << 2 | 1 << 4 | 3 << 6 | 0 << 8)


@triton.jit
def way_of(path):
    """(the steps of one of six ways round rectangles, on which side of mu: 1 or -1)."""
    kind = path // 2
    moves = tl.where(kind == 0, TALL, tl.where(kind == 1, AHEAD, BEHIND))
    return moves, 1 - 2 * (path % 2)


@triton.jit
def step_of(move, side, mu, nu, a, b, site, along, across):
    """(direction of a step's link, its site, whether it is walked back; a, b after it), from
    x + a mu + b nu.
    """
    turned = move >> 1
    change = (1 - 2 * (move & 1)) * (1 - turned + turned * side)
    new_a, new_b = a + (1 - turned) * change, b + turned * change
    back = change < 0
    at = site + hop(along, tl.where(back, new_a, a)) + hop(across, tl.where(back, new_b, b))
    return turned * nu + (1 - turned) * mu, at, back, new_a, new_b


@triton.jit
def stride_of(links, move, side, mu, nu, a, b, site, along, across, blocks):
    """(the link of one step, a and b after it)."""
    of, at, back, a, b = step_of(move, side, mu, nu, a, b, site, along, across)
    m = load_whole(links, of, at, blocks)
    return select(back, dagger(m), m), a, b


@triton.jit
def rectangle_staples(links, total, mu, nu, site, along, across, blocks):
    """total + the six paths that close U_mu(x) to rectangles with nu, from x + mu to x."""
    for path in range(6):
        moves, side = way_of(path)
        m, a, b = stride_of(links, moves & 3, side, mu, nu, 1, 0, site, along, across, blocks)
        rows = (m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9], m[10], m[11])
        for _ in range(4):
            moves = moves >> 2
            m, a, b = stride_of(links, moves & 3, side, mu, nu, a, b, site, along, across, blocks)
            rows = times(rows, m)
        total = combine(1.0, total, 1.0, complete(rows))
    return total


@triton.jit
def rectangles(links, mu, site, shape, blocks):
    """A^rect: the sum of the eighteen paths."""
    total = nothing(site.to(links.dtype.element_ty))
    along = coordinate(mu, site, shape)
    for k in range(1, 4):
        nu = mu ^ k
        total = rectangle_staples(links, total, mu, nu, site, along, coordinate(nu, site, shape),
                                  blocks)
    return total


@triton.jit(do_not_specialize=VARIES)
def rectangle_kernel(links, momenta, c: tl.float64, nt, nx, ny, nz):
    """P' = P + c TA(U A^rect), in the place of P."""
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links, momenta = chain_of(links, blocks, 12), chain_of(momenta, blocks, 8)
    total = rectangles(links, mu, site, shape, blocks)
    u = load_whole(links, mu, site, blocks)
    push = project(product(u, total), tl.full((), c, links.dtype.element_ty))
    push = added(1.0, load_algebra(momenta, mu, site, blocks), push)
    store_numbers(momenta, mu, site, blocks, push, exists, 8)
