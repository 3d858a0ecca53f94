"""Kernels of kicks with networks, on fields with their numbers apart.

Formulas: l2hmc/kernel.py and networks/covariant.py. What is not wanted is None. Links must be in
SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import nothing, product
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, coordinate, here, hop, staple_pair
from l2hmc_bridge.fast.gpu.planar_matrix import (
    added,
    algebra,
    combined,
    dagger_times,
    load_algebra,
    load_rows,
    load_whole,
    place,
    project,
    store_numbers,
    times,
    times_dagger,
)

VARIES = ["nt", "nx", "ny", "nz"]
# Modes of a kick: Gamma+, Gamma-, both with a flip between them, or P' = keep P + h push.
FORWARD, INVERSE, TURN, PLAIN = (tl.constexpr(0), tl.constexpr(1), tl.constexpr(2),
                                 tl.constexpr(3))


@triton.jit
def times_number(c, p):
    """c P of eight numbers."""
    return (c * p[0], c * p[1], c * p[2], c * p[3], c * p[4], c * p[5], c * p[6], c * p[7])


@triton.jit
def with_rows(p, m):
    """P + M of eight numbers and the two rows of an algebra element M."""
    return (p[0] + m[1], p[1] + m[9], p[2] + m[2], p[3] + m[3], p[4] + m[4], p[5] + m[5],
            p[6] + m[10], p[7] + m[11])


@triton.jit
def smoothed(links, field, mu, site, shape, blocks, FIRST: tl.constexpr):
    """Lap X_mu, over nu besides mu for FIRST = 1, over all nu for 0.

    Sum of U_nu X(x+nu) U_nu^dagger + U_nu(x-nu)^dagger X(x-nu) U_nu(x-nu) - 2 X.
    """
    total = times_number(-2.0 * (4 - FIRST), load_algebra(field, mu, site, blocks))
    for k in range(FIRST, 4):
        nu = mu ^ k
        across = coordinate(nu, site, shape)
        up, down = site + hop(across, 1), site + hop(across, -1)
        u = load_whole(links, nu, site, blocks)
        rows = times(load_rows(links, nu, site, blocks),
                     algebra(load_algebra(field, mu, up, blocks), 1.0))
        total = with_rows(total, times_dagger(rows, u))
        u = load_whole(links, nu, down, blocks)
        rows = dagger_times(u, algebra(load_algebra(field, mu, down, blocks), 1.0))
        total = with_rows(total, times(rows, u))
    return total


@triton.jit
def load_number(field, mu, site, blocks):
    """A scalar of each link, of this program's chain."""
    return tl.load(place(chain_of(field, blocks, 1), mu, site, blocks, 1))


@triton.jit
def store_number(field, mu, site, blocks, number, exists):
    """The same, into memory."""
    tl.store(place(chain_of(field, blocks, 1), mu, site, blocks, 1), number, exists)


@triton.jit
def staples(links, mu, site, shape, blocks):
    """A: the sum of the six staples."""
    total = nothing(site.to(links.dtype.element_ty))
    along = coordinate(mu, site, shape)
    for k in range(1, 4):
        nu = mu ^ k
        total = staple_pair(links, total, mu, nu, site, along, coordinate(nu, site, shape), blocks)
    return total


@triton.jit
def force_of(m, rectangle, c0, c1, mu, site, blocks):
    """c0 TA(M) + c1 V with V = TA(U A^rect) in memory, if it is there."""
    f = project(m, tl.full((), c0, m[0].dtype))
    if rectangle is not None:
        v = load_algebra(chain_of(rectangle, blocks, 8), mu, site, blocks)
        f = added(tl.full((), c1, m[0].dtype), v, f)
    return f


@triton.jit
def square_of(m):
    """TA(M^2) / 36."""
    return project(product(m, m), tl.full((), 1 / 36, m[0].dtype))


@triton.jit
def factors(s, h, keep, MODE: tl.constexpr):
    """a, b of the kick a P + b push: P e^{h^2 s} - h push, e^{-h^2 s} (P + h push), or the first, a
    flip and the second in one, times `keep`.
    """
    if MODE == FORWARD:
        a, b = keep * tl.exp(h * h * s), tl.zeros_like(s) - keep * h
    elif MODE == INVERSE:
        a = keep * tl.exp(-h * h * s)
        b = h * a
    elif MODE == TURN:
        a, b = tl.zeros_like(s) - keep, 2.0 * keep * h * tl.exp(-h * h * s)
    else:
        a, b = tl.zeros_like(s) + keep, tl.zeros_like(s) + h
    return a, b


@triton.jit
def count(exponent, s, h, mu, site, blocks, exists, MODE: tl.constexpr):
    """Add h s of a kick to what it has come to at each link; a turn changes nothing."""
    if (MODE == FORWARD) | (MODE == INVERSE):
        change = (h * h * s).to(tl.float64)
        if MODE == INVERSE:
            change = -change
        before = load_number(exponent, mu, site, blocks)
        store_number(exponent, mu, site, blocks, before + change, exists)


@triton.jit
def kicked(momenta, exponent, push, s, h, keep, mu, site, blocks, exists, MODE: tl.constexpr):
    """The momenta after the kick with a push."""
    count(exponent, s, h, mu, site, blocks, exists, MODE)
    a, b = factors(s, h, keep, MODE)
    p = load_algebra(chain_of(momenta, blocks, 8), mu, site, blocks)
    return combined(a, p, b, push)


@triton.jit(do_not_specialize=VARIES)
def look_kernel(links, rectangle, force, trace, square, c0: tl.float64, c1: tl.float64,
                nt, nx, ny, nz):
    """F = c0 TA(U A) + c1 V with V = TA(U A^rect) in memory, Re tr(U A), TA((U A)^2) / 36."""
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links = chain_of(links, blocks, 12)
    total = staples(links, mu, site, shape, blocks)
    m = product(load_whole(links, mu, site, blocks), total)
    store_number(trace, mu, site, blocks, m[0] + m[8] + m[16], exists)
    f = force_of(m, rectangle, c0, c1, mu, site, blocks)
    store_numbers(chain_of(force, blocks, 8), mu, site, blocks, f, exists, 8)
    if square is not None:
        store_numbers(chain_of(square, blocks, 8), mu, site, blocks, square_of(m), exists, 8)


@triton.jit
def with_loop(push, loop, weight, mu, site, blocks):
    """push + weight V of a loop in memory, if there is one."""
    if loop is not None:
        push = added(weight, load_algebra(chain_of(loop, blocks, 8), mu, site, blocks), push)
    return push


@triton.jit(do_not_specialize=VARIES)
def mixed_kick_kernel(links, push, kept, momenta, exponent, h: tl.float64, keep: tl.float64,
                      mixing: tl.float64, nt, nx, ny, nz, MODE: tl.constexpr):
    """The kick with push + mixing Lap push, Lap over nu besides mu, in the place of P; with s that
    was kept, if a network made the push.
    """
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links, push = chain_of(links, blocks, 12), chain_of(push, blocks, 8)
    number = links.dtype.element_ty
    smooth = smoothed(links, push, mu, site, (nt, nx, ny, nz), blocks, 1)
    mixed = added(tl.full((), mixing, number), smooth, load_algebra(push, mu, site, blocks))
    s = tl.zeros_like(mixed[0])
    if kept is not None:
        s = load_number(kept, mu, site, blocks)
    p = kicked(momenta, exponent, mixed, s, tl.full((), h, number), tl.full((), keep, number), mu,
               site, blocks, exists, MODE)
    store_numbers(chain_of(momenta, blocks, 8), mu, site, blocks, p, exists, 8)
