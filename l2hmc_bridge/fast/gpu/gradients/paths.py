"""Kernels of gradients along the group of what staples and transports make of links.

With numbers apart, as in staples.py. The gradient g of a number h has the components
g_b = d/ds h(exp(s T_b) U), and those of TA(M) are -2 Re tr(T_b M). For h = sum Re tr(W A) over
links, A their staples, g = -1/2 TA(U dA) with dA the change of U's own staples when links change
as the "changes" W say: each plaquette takes part with every other link in its turn. To it comes
the own share, of U where h has it beside A. Links must be in SU(3), changes are any matrices.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import (
    combine,
    dagger,
    nothing,
    plus_product,
    product,
    select,
)
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, coordinate, here, hop, whole_at
from l2hmc_bridge.fast.gpu.planar_matrix import (
    LANES,
    added,
    algebra,
    complete,
    load_algebra,
    load_whole,
    place,
    project,
    store_numbers,
    times,
)
from l2hmc_bridge.fast.gpu.rectangles import step_of, way_of

VARIES = ["only", "nt", "nx", "ny", "nz"]
# What a link's own place in the number gives, beside its place in others' staples.
NOTHING, ALGEBRA, SCALAR = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def load_change(changes, mu, site, blocks, only):
    """The change of a link; with a direction `only` >= 0 all others stay."""
    p = place(changes, mu, site, blocks, 18)
    w = (only < 0) | (mu == only)
    return (tl.load(p, w, 0.0), tl.load(p + LANES, w, 0.0), tl.load(p + 2 * LANES, w, 0.0),
            tl.load(p + 3 * LANES, w, 0.0), tl.load(p + 4 * LANES, w, 0.0),
            tl.load(p + 5 * LANES, w, 0.0), tl.load(p + 6 * LANES, w, 0.0),
            tl.load(p + 7 * LANES, w, 0.0), tl.load(p + 8 * LANES, w, 0.0),
            tl.load(p + 9 * LANES, w, 0.0), tl.load(p + 10 * LANES, w, 0.0),
            tl.load(p + 11 * LANES, w, 0.0), tl.load(p + 12 * LANES, w, 0.0),
            tl.load(p + 13 * LANES, w, 0.0), tl.load(p + 14 * LANES, w, 0.0),
            tl.load(p + 15 * LANES, w, 0.0), tl.load(p + 16 * LANES, w, 0.0),
            tl.load(p + 17 * LANES, w, 0.0))


@triton.jit
def turned_if(turned, m):
    """M^dagger where `turned`, M elsewhere."""
    return select(turned, dagger(m), m)


@triton.jit
def with_own(total, whole, own, mu, site, blocks, shape, OWN: tl.constexpr):
    """total + M times the link's own share: -2 V of its algebra element, w of its number."""
    if OWN == ALGEBRA:
        v = algebra(load_algebra(chain_of(own, blocks, 8), mu, site, blocks), -2.0)
        total = plus_product(total, whole, v)
    elif OWN == SCALAR:
        nt, nx, ny, nz = shape
        w = tl.load(own + whole_at(mu, site, nt, nx, ny, nz))
        total = combine(1.0, total, w, whole)
    return total


@triton.jit
def plus_change(total, links, changes, own, mu, nu, site, side, along, shape, blocks, only,
                OWN: tl.constexpr):
    """total + dS + S times the own share, with the staple S = a b c of U_mu(x) on one side."""
    right, there = hop(along, 1), site + hop(coordinate(nu, site, shape), side)
    up = side > 0
    far = tl.where(up, site, there)  # where the links along nu are
    b = dagger(load_whole(links, mu, there, blocks))
    c = turned_if(up, load_whole(links, nu, far, blocks))
    inner = product(dagger(load_change(changes, mu, there, blocks, only)), c)
    inner = plus_product(inner, b, turned_if(up, load_change(changes, nu, far, blocks, only)))
    corner = complete(times(b, c))
    inner = with_own(inner, corner, own, mu, site, blocks, shape, OWN)
    a = turned_if(up == 0, load_whole(links, nu, far + right, blocks))
    total = plus_product(total, a, inner)
    a = turned_if(up == 0, load_change(changes, nu, far + right, blocks, only))
    return plus_product(total, a, corner)


@triton.jit
def leave_along(along, links, change, c, mu, site, blocks, exists, ADD: tl.constexpr):
    """c TA(U M), or that added to what is there."""
    number = links.dtype.element_ty
    g = project(product(load_whole(links, mu, site, blocks), change), tl.full((), c, number))
    along = chain_of(along, blocks, 8)
    if ADD:
        g = added(1.0, load_algebra(along, mu, site, blocks), g)
    store_numbers(along, mu, site, blocks, g, exists, 8)


@triton.jit(do_not_specialize=VARIES)
def staple_pullback_kernel(links, changes, own, along, c: tl.float64, only, nt, nx, ny, nz,
                           OWN: tl.constexpr, ADD: tl.constexpr):
    """-c/2 TA(U [dA + A own share]) of plaquettes."""
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links, changes = chain_of(links, blocks, 12), chain_of(changes, blocks, 18)
    line = coordinate(mu, site, shape)
    total = nothing(site.to(links.dtype.element_ty))
    for n in range(6):
        nu, side = mu ^ (1 + n // 2), 1 - 2 * (n % 2)
        total = plus_change(total, links, changes, own, mu, nu, site, side, line, shape, blocks,
                            only, OWN)
    leave_along(along, links, total, -0.5 * c, mu, site, blocks, exists, ADD)


@triton.jit
def walked(links, changes, path, mu, nu, site, along, across, blocks):
    """(one of six ways round rectangles from x + mu to x, its change)."""
    moves, side = way_of(path)
    of, at, back, a, b = step_of(moves & 3, side, mu, nu, 1, 0, site, along, across)
    whole = turned_if(back, load_whole(links, of, at, blocks))
    change = turned_if(back, load_change(changes, of, at, blocks, -1))
    for _ in range(4):
        moves = moves >> 2
        of, at, back, a, b = step_of(moves & 3, side, mu, nu, a, b, site, along, across)
        d = load_change(changes, of, at, blocks, -1)
        turned = product(whole, turned_if(back, d))
        m = turned_if(back, load_whole(links, of, at, blocks))
        change = plus_product(turned, change, m)
        whole = complete(times(whole, m))
    return whole, change


@triton.jit(do_not_specialize=VARIES)
def rectangle_pullback_kernel(links, changes, own, along, c: tl.float64, nt, nx, ny, nz):
    """-c/2 TA(U [dA^rect + A^rect own share]), added to what is there."""
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links, changes = chain_of(links, blocks, 12), chain_of(changes, blocks, 18)
    line = coordinate(mu, site, shape)
    total = nothing(site.to(links.dtype.element_ty))
    for n in range(18):
        nu = mu ^ (1 + n // 6)
        way, change = walked(links, changes, n % 6, mu, nu, site, line,
                             coordinate(nu, site, shape), blocks)
        total = combine(1.0, total, 1.0, change)
        total = with_own(total, way, own, mu, site, blocks, shape, ALGEBRA)
    leave_along(along, links, total, -0.5 * c, mu, site, blocks, exists, True)
