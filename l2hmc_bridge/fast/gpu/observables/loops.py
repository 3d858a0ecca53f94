"""Kernels of m x n loops, on fields with their numbers apart: lines of links, charges.

Lines of k links lie beside the links, as four more directions each: 4 (k - 1) + mu has the products
of k links along mu, [chain, 4 longest, block, number, site]. Made of lines, a clover of m x n loops
is one of plaquettes: ten products a plane, twice that for m != n. Links must be in SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.observables.kernels import (
    half_clover,
    leave_sum,
    less_trace,
    minus_trace,
    none_of,
    owned,
    plane_of,
    site_of,
    with_part,
)
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, coordinate, here, hop
from l2hmc_bridge.fast.gpu.planar_matrix import load_rows, load_whole, store_numbers, times

# Numbers that differ from call to call, for which the same machine code serves.
VARIES = ["nt", "nx", "ny", "nz", "ht", "hx", "hy", "hz", "m", "n", "length", "longest", "turns",
          "traceless", "row", "rows"]
PAIRS = tl.constexpr(3)  # of dual planes


@triton.jit
def far(at, distance):
    """What to add to a site's number to go any distance >= 0 on, and back; periodic."""
    of, extent, stride = at
    distance = distance % extent
    on = tl.where(of + distance >= extent, distance - extent, distance)
    back = tl.where(of >= distance, -distance, extent - distance)
    return on * stride, back * stride


@triton.jit(do_not_specialize=VARIES)
def line_kernel(lines, length, longest, nt, nx, ny, nz):
    """Lines of one link more than `length`: U_mu(x) W_mu(x + mu), W those of `length`."""
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    lines = chain_of(lines, longest * blocks, 12)
    ahead = site + hop(coordinate(mu, site, (nt, nx, ny, nz)), 1)
    line = times(load_rows(lines, mu, site, blocks),
                 load_whole(lines, 4 * (length - 1) + mu, ahead, blocks))
    store_numbers(lines, 4 * length + mu, site, blocks, line, exists, 12)


@triton.jit
def half_loops(lines, mu, nu, m, n, behind, site, shape, blocks):
    """W = the line of m links along mu from x, or from x - m mu for behind = 1; the staple of lines
    of n links along nu that is above it less that below.
    """
    on, back = far(coordinate(mu, site, shape), m)
    up, down = far(coordinate(nu, site, shape), n)
    right = tl.where(behind == 0, on, -back)
    line, staples, _ = half_clover(lines, 4 * (m - 1) + mu, 4 * (n - 1) + nu, site + behind * back,
                                   right, up, down, blocks)
    return line, staples


@triton.jit(do_not_specialize=VARIES)
def charge_kernel(lines, out, density, m, n, longest, turns, traceless, weight: tl.float64, row,
                  rows, nt, nx, ny, nz, ht, hx, hy, hz, EXACT: tl.constexpr):
    """What a pair of planes gives to weight q: its sum in one of `rows` rows of `out`, and that of
    each site, which is added to `density` [chain, pair, site]. What is not wanted is None.

    C are the anti-Hermitian parts of clovers of m x n loops, summed over `turns` = 2 orientations
    for m != n; q = tr(C_tx C_yz) - tr(C_ty C_xz) + tr(C_tz C_xy), programs in a row for the three.
    """
    shape, pair = (nt, nx, ny, nz), tl.program_id(0) % PAIRS
    site, exists = site_of(tl.program_id(0) // PAIRS, nt, nx, ny, nz)
    blocks = tl.num_programs(0) // PAIRS
    lines = chain_of(lines, longest * blocks, 12)
    zero = tl.zeros_like(site.to(lines.dtype.element_ty))
    one, other = none_of(zero), none_of(zero)
    halves = 2 * turns  # of a plane
    for k in range(2 * halves):
        half, dual = k % halves, k // halves
        behind, turned = half % 2, half // 2
        mu, nu = plane_of(pair, dual)
        along, across = tl.where(turned == 0, mu, nu), tl.where(turned == 0, nu, mu)
        line, staples = half_loops(lines, along, across, m, n, behind, site, shape, blocks)
        if half == 0:
            one = other
            other = none_of(zero)
        sign = tl.where(turned == 0, 1.0, -1.0).to(zero.dtype)  # from mu to nu, both times
        if behind == 0:
            other = with_part(other, sign, line, staples)
        else:
            other = with_part(other, sign, staples, line)
    trace = minus_trace(less_trace(one, traceless), less_trace(other, traceless))
    value = weight * tl.where(pair == 1, trace, -trace).to(tl.float64)
    if out is not None:
        leave_sum(out, row, value, owned(site, exists, shape, (ht, hx, hy, hz)), rows, EXACT)
    if density is not None:
        at = (tl.program_id(1).to(tl.int64) * PAIRS + pair) * (nt * nx * ny * nz) + site
        tl.store(density + at, tl.load(density + at) + value.to(zero.dtype), exists)
