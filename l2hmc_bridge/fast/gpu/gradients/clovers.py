"""Kernels of the gradient along the group of energies and charge from the clover, numbers apart.

A field of six planes tx, ty, tz, xy, xz, yz is [Nb, 6, blocks, 9, 32]: anti-Hermitian B, whose
numbers are Im 00, 11, 22, then Re and Im of 01, 02, 12. The number is h = sum Re tr(B C) to first
order in the clovers C. Links must be in SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.gradients.paths import leave_along, turned_if
from l2hmc_bridge.fast.gpu.matrix import combine, dagger, nothing, plus_product, product
from l2hmc_bridge.fast.gpu.observables.kernels import (
    less_trace,
    none_of,
    plane_of,
    site_of,
    with_part,
)
from l2hmc_bridge.fast.gpu.observables.loops import half_loops
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, coordinate, here, hop
from l2hmc_bridge.fast.gpu.planar_matrix import LANES, load_whole, place

VARIES = ["traceless", "nt", "nx", "ny", "nz"]


@triton.jit
def planes_of(field, blocks):
    """The field of this program's chain."""
    return field + tl.program_id(1).to(tl.int64) * blocks * (6 * 9 * LANES)


@triton.jit
def clover_part(links, mu, nu, site, shape, blocks, traceless):
    """The anti-Hermitian part of the four leaves of a plane around each site, nine numbers."""
    total = none_of(site.to(links.dtype.element_ty))
    for behind in range(2):
        u, staples = half_loops(links, mu, nu, 1, 1, behind, site, shape, blocks)
        if behind == 0:
            total = with_part(total, 1.0, u, staples)
        else:
            total = with_part(total, 1.0, staples, u)
    return less_trace(total, traceless)


@triton.jit
def store_both(field, plane, site, blocks, p, a, q, b, exists):
    """p A + q B of nine numbers each."""
    at = place(field, plane, site, blocks, 9)
    for i in tl.static_range(9):
        tl.store(at + i * LANES, p * a[i] + q * b[i], exists)


@triton.jit(do_not_specialize=VARIES)
def clover_changes_kernel(links, weights, planes, energy: tl.float64, topology: tl.float64,
                          traceless, nt, nx, ny, nz):
    """B of h = energy (w0 sum -tr CC of planes with t + w1 that of the others) + topology w2 sum of
    tr(C_tx C_yz) - tr(C_ty C_xz) + tr(C_tz C_xy), C the anti-Hermitian parts; weights [chain, 3].
    """
    shape = (nt, nx, ny, nz)
    site, exists = site_of(tl.program_id(0), nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    links, planes = chain_of(links, blocks, 12), planes_of(planes, blocks)
    number = links.dtype.element_ty
    w = weights + 3 * tl.program_id(1)
    share = -2.0 * tl.full((), energy, tl.float64)
    temporal, spatial = (share * tl.load(w)).to(number), (share * tl.load(w + 1)).to(number)
    charges = tl.full((), topology, tl.float64) * tl.load(w + 2)
    one = none_of(site.to(number))
    other = one
    for n in range(6):
        dual, pair = n % 2, n // 2
        mu, nu = plane_of(pair, dual)
        one = other
        other = clover_part(links, mu, nu, site, shape, blocks, traceless)
        if dual == 1:
            charge = tl.where(pair == 1, -charges, charges).to(number)
            store_both(planes, pair, site, blocks, temporal, one, charge, other, exists)
            store_both(planes, 5 - pair, site, blocks, spatial, other, charge, one, exists)


@triton.jit
def load_plane(planes, mu, nu, site, blocks):
    """B of the plane that turns from mu to nu, a whole matrix: -B where that is from nu to mu."""
    low, high = tl.minimum(mu, nu), tl.maximum(mu, nu)
    plane = tl.where(low == 0, high - 1, tl.where(low == 1, high + 1, 5))
    p = place(planes, plane, site, blocks, 9)
    s = tl.where(mu < nu, 1.0, -1.0).to(planes.dtype.element_ty)
    a, b, c = s * tl.load(p), s * tl.load(p + LANES), s * tl.load(p + 2 * LANES)
    d, e, f = (s * tl.load(p + 3 * LANES), s * tl.load(p + 4 * LANES),
               s * tl.load(p + 5 * LANES))
    g, h, i = (s * tl.load(p + 6 * LANES), s * tl.load(p + 7 * LANES),
               s * tl.load(p + 8 * LANES))
    zero = tl.zeros_like(a)
    return (zero, a, d, e, f, g, -d, e, zero, b, h, i, -f, g, -h, i, zero, c)


@triton.jit
def corners(links, planes, mu, nu, site, right, there, up, blocks):
    """Of the staple S = a b c of U_mu(x) above (`up`) or below it, with B at the four corners of
    the plaquette: S B(x) + B(x+mu) S + a [B(x+mu+-nu) b + b B(x+-nu)] c. `there`: x +- nu.
    """
    far = tl.where(up, site, there)  # where the links along nu are
    a = turned_if(up == 0, load_whole(links, nu, far + right, blocks))
    b = dagger(load_whole(links, mu, there, blocks))
    c = turned_if(up, load_whole(links, nu, far, blocks))
    inner = product(load_plane(planes, mu, nu, there + right, blocks), b)
    inner = plus_product(inner, b, load_plane(planes, mu, nu, there, blocks))
    total = product(a, product(inner, c))
    staple = product(a, product(b, c))
    total = plus_product(total, staple, load_plane(planes, mu, nu, site, blocks))
    return plus_product(total, load_plane(planes, mu, nu, site + right, blocks), staple)


@triton.jit(do_not_specialize=VARIES)
def clover_pullback_kernel(links, planes, along, nt, nx, ny, nz):
    """g of sum Re tr(B C): -1/2 TA(U [corners above - corners below]) over the three planes."""
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links, planes = chain_of(links, blocks, 12), planes_of(planes, blocks)
    right = hop(coordinate(mu, site, shape), 1)
    total = nothing(site.to(links.dtype.element_ty))
    for n in range(6):
        nu, side = mu ^ (1 + n // 2), 1 - 2 * (n % 2)
        there = site + hop(coordinate(nu, site, shape), side)
        found = corners(links, planes, mu, nu, site, right, there, side > 0, blocks)
        total = combine(1.0, total, tl.where(side > 0, 1.0, -1.0).to(total[0].dtype), found)
    leave_along(along, links, total, -0.5, mu, site, blocks, exists, False)
