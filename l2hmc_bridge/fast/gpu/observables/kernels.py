"""Kernels that measure fields with their numbers apart: loops, field strengths, kinetic energy.

A program works on a block of 32 sites of one chain, a thread each; grid: blocks, chains. A clover
is ten products a plane: with the staples A, B above and below U_mu and A', B' those of U_mu(x-mu),
the anti-Hermitian part of its four leaves is that of U_mu (A - B) + (A' - B') U_mu(x-mu). Loops
over planes stay loops. Links must be in SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.kernels import multiples
from l2hmc_bridge.fast.gpu.learned.scalars import inner
from l2hmc_bridge.fast.gpu.matrix import combine, imaginary, real, real_trace
from l2hmc_bridge.fast.gpu.planar_kernels import (
    chain_of,
    coordinate,
    here,
    hop,
    staple_above,
    staple_below,
)
from l2hmc_bridge.fast.gpu.planar_matrix import (
    LANES,
    complete,
    load_algebra,
    load_rows,
    load_whole,
    times,
)

# Numbers that differ from call to call, for which the same machine code serves.
VARIES = ["nt", "nx", "ny", "nz", "ht", "hx", "hy", "hz", "halves", "traceless"]
TEMPORAL, SPATIAL, CHARGE, ROWS = (tl.constexpr(row) for row in (6, 7, 8, 9))  # after six planes


@triton.jit
def site_of(block, nt, nx, ny, nz):
    """(site, whether it exists) of each thread of a block; the last site for those beyond."""
    site = block * LANES + tl.arange(0, LANES)
    volume = nt * nx * ny * nz
    return tl.minimum(site, volume - 1), site < volume


@triton.jit
def owned(site, exists, shape, halo):
    """Whether a site that exists lies within the halos: it is counted here and nowhere else."""
    own = exists
    for mu in tl.static_range(4):
        of, extent, _ = coordinate(mu, site, shape)
        own = own & (of >= halo[mu]) & (of < extent - halo[mu])
    return own


@triton.jit
def leave_sum(out, row, value, own, rows, EXACT: tl.constexpr):
    """The sum of own sites' `value`, one of `rows` rows: float64 [chain, row, program].

    EXACT: multiples of 2^-30, of 2^-62, and how many are none, int64 [chain, row, 3, program].
    """
    programs, program = tl.num_programs(0), tl.program_id(0)
    at = (tl.program_id(1) * rows + row).to(tl.int64) * programs
    value = tl.where(own, value.to(tl.float64), 0.0)
    if EXACT:
        high, low, none = multiples(value)
        tl.store(out + 3 * at + program, tl.sum(high, 0))
        tl.store(out + 3 * at + programs + program, tl.sum(low, 0))
        tl.store(out + 3 * at + 2 * programs + program, tl.sum(none, 0))
    else:
        tl.store(out + at + program, tl.sum(value, 0))


@triton.jit
def with_part(g, sign, a, b):
    """g + sign (A B - (A B)^dagger) / 2: Im 00, 11, 22, then Re and Im of 01, 02, 12."""
    half = 0.5 * sign
    return (g[0] + sign * imaginary(a, b, 0, 0), g[1] + sign * imaginary(a, b, 1, 1),
            g[2] + sign * imaginary(a, b, 2, 2),
            g[3] + half * (real(a, b, 0, 1) - real(a, b, 1, 0)),
            g[4] + half * (imaginary(a, b, 0, 1) + imaginary(a, b, 1, 0)),
            g[5] + half * (real(a, b, 0, 2) - real(a, b, 2, 0)),
            g[6] + half * (imaginary(a, b, 0, 2) + imaginary(a, b, 2, 0)),
            g[7] + half * (real(a, b, 1, 2) - real(a, b, 2, 1)),
            g[8] + half * (imaginary(a, b, 1, 2) + imaginary(a, b, 2, 1)))


@triton.jit
def minus_trace(a, b):
    """-tr(A B) of two such parts."""
    return (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
            + 2.0 * (a[3] * b[3] + a[4] * b[4] + a[5] * b[5] + a[6] * b[6] + a[7] * b[7]
                     + a[8] * b[8]))


@triton.jit
def none_of(number):
    """Nine zeros like `number`."""
    z = tl.zeros_like(number)
    return (z, z, z, z, z, z, z, z, z)


@triton.jit
def less_trace(g, traceless):
    """g, without its trace for traceless = 1."""
    mean = (g[0] + g[1] + g[2]) / 3 * traceless
    return (g[0] - mean, g[1] - mean, g[2] - mean, g[3], g[4], g[5], g[6], g[7], g[8])


@triton.jit
def plane_of(pair, dual):
    """(mu, nu) of the plane of t and direction 1 + pair, or of the one dual to it."""
    mu = tl.where(dual == 0, 0, tl.where(pair == 0, 2, 1))
    return mu, tl.where(dual == 0, 1 + pair, tl.where(pair == 2, 2, 3))


@triton.jit
def half_clover(links, mu, nu, site, right, up, down, blocks):
    """(U_mu, the staple above it less that below, Re tr P); how far x + mu, x + nu, x - nu are."""
    above = complete(staple_above(links, mu, nu, site, right, up, blocks))
    u = load_whole(links, mu, site, blocks)
    plaquette = real_trace(u, above)
    below = complete(staple_below(links, mu, nu, site, right, down, blocks))
    return u, combine(1.0, above, -1.0, below), plaquette


@triton.jit(do_not_specialize=VARIES)
def measure_kernel(links, out, halves, traceless, nt, nx, ny, nz, ht, hx, hy, hz,
                   EXACT: tl.constexpr):
    """Sums of Re tr P of the six planes, -tr C C of planes with t and without, and of q, nine rows.

    C are the anti-Hermitian parts of clovers, q = tr(C_tx C_yz) - tr(C_ty C_xz) + tr(C_tz C_xy).
    """
    shape = (nt, nx, ny, nz)
    site, exists = site_of(tl.program_id(0), nt, nx, ny, nz)
    own = owned(site, exists, shape, (ht, hx, hy, hz))
    blocks = tl.num_programs(0)
    links = chain_of(links, blocks, 12)
    temporal = tl.zeros_like(site.to(links.dtype.element_ty))
    spatial, charge = temporal, temporal
    one, other = none_of(temporal), none_of(temporal)
    for n in range(halves):
        behind, dual, pair = n % 2, n // 2 % 2, n // 4
        mu, nu = plane_of(pair, dual)
        along, across = coordinate(mu, site, shape), coordinate(nu, site, shape)
        left = hop(along, -1)
        right = tl.where(behind == 0, hop(along, 1), -left)  # from x, or from x - mu
        u, staples, plaquette = half_clover(links, mu, nu, site + behind * left, right,
                                            hop(across, 1), hop(across, -1), blocks)
        if behind == 0:
            one = other
            other = with_part(none_of(temporal), 1.0, u, staples)
            leave_sum(out, tl.where(dual == 0, pair, 5 - pair), plaquette, own, ROWS, EXACT)
        else:
            other = less_trace(with_part(other, 1.0, staples, u), traceless)
            if dual == 0:
                temporal += minus_trace(other, other)
            else:
                spatial += minus_trace(other, other)
                charge += tl.where(pair == 1, 1.0, -1.0).to(charge.dtype) * minus_trace(one, other)
    leave_sum(out, TEMPORAL, temporal, own, ROWS, EXACT)
    leave_sum(out, SPATIAL, spatial, own, ROWS, EXACT)
    leave_sum(out, CHARGE, charge, own, ROWS, EXACT)


@triton.jit(do_not_specialize=VARIES)
def plaquette_kernel(links, out, nt, nx, ny, nz, ht, hx, hy, hz, EXACT: tl.constexpr):
    """Sums of Re tr P of the planes tx, ty, tz, xy, xz, yz, six rows."""
    shape = (nt, nx, ny, nz)
    site, exists = site_of(tl.program_id(0), nt, nx, ny, nz)
    own = owned(site, exists, shape, (ht, hx, hy, hz))
    blocks = tl.num_programs(0)
    links = chain_of(links, blocks, 12)
    for plane in range(6):
        mu = tl.where(plane < 3, 0, tl.where(plane < 5, 1, 2))
        nu = tl.where(plane < 3, plane + 1, tl.where(plane == 3, 2, 3))
        right = hop(coordinate(mu, site, shape), 1)
        up = hop(coordinate(nu, site, shape), 1)
        staple = complete(staple_above(links, mu, nu, site, right, up, blocks))
        leave_sum(out, plane, real_trace(load_whole(links, mu, site, blocks), staple), own, 6,
                  EXACT)


@triton.jit
def overlap(a, b):
    """Re tr(A B^dagger) of two matrices."""
    total = a[0] * b[0]
    for i in tl.static_range(1, 18):
        total += a[i] * b[i]
    return total


@triton.jit(do_not_specialize=VARIES)
def rectangle_kernel(links, out, nt, nx, ny, nz, ht, hx, hy, hz, EXACT: tl.constexpr):
    """The sum of Re tr of the twelve rectangles of two steps along mu and one along nu, one row."""
    shape = (nt, nx, ny, nz)
    site, exists = site_of(tl.program_id(0), nt, nx, ny, nz)
    own = owned(site, exists, shape, (ht, hx, hy, hz))
    blocks = tl.num_programs(0)
    links = chain_of(links, blocks, 12)
    total = tl.zeros_like(site.to(links.dtype.element_ty))
    for n in range(12):
        mu = n // 3
        nu = mu ^ (1 + n % 3)
        along = coordinate(mu, site, shape)
        right, up = hop(along, 1), hop(coordinate(nu, site, shape), 1)
        line = times(load_rows(links, mu, site, blocks),
                     load_whole(links, mu, site + right, blocks))
        below = times(line, load_whole(links, nu, site + hop(along, 2), blocks))
        line = times(load_rows(links, mu, site + up, blocks),
                     load_whole(links, mu, site + up + right, blocks))
        above = times(load_rows(links, nu, site, blocks), complete(line))
        total += overlap(complete(below), complete(above))
    leave_sum(out, 0, total, own, 1, EXACT)


@triton.jit(do_not_specialize=VARIES)
def kinetic_kernel(momenta, out, nt, nx, ny, nz, ht, hx, hy, hz, EXACT: tl.constexpr):
    """The sum of -tr P^2 over links, one row; a thread for each link."""
    mu, site, exists = here(nt, nx, ny, nz)
    own = owned(site, exists, (nt, nx, ny, nz), (ht, hx, hy, hz))
    blocks = tl.num_programs(0)
    p = load_algebra(chain_of(momenta, blocks, 8), mu, site, blocks)
    leave_sum(out, 0, 0.5 * inner(p), own, 1, EXACT)
