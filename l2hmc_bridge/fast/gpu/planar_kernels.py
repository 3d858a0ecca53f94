"""Kernels of the layout with numbers apart (planar_matrix.py): force, kick and drift, conversions.

A program works on all four directions of a block of 32 sites, a warp each, so that they share what
they read; grid: blocks, chains. In round k = 1, 2, 3 direction mu looks at the plane with mu XOR k,
so that two warps each work on the same plane. Loops over the rounds stay loops, the staples are
written out. Links must be in SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import (
    combine,
    exponential,
    load,
    nothing,
    product,
    store,
)
from l2hmc_bridge.fast.gpu.planar_matrix import (
    LANES,
    added,
    algebra,
    combined,
    complete,
    dagger_times,
    load_algebra,
    load_rows,
    load_whole,
    project,
    store_numbers,
    times,
    times_dagger,
)

# Numbers that differ from call to call, for which the same machine code serves.
VARIES = ["nt", "nx", "ny", "nz"]
BLOCK = tl.constexpr(128)  # four directions of LANES sites


@triton.jit
def here(nt, nx, ny, nz):
    """(direction, site, whether it exists) of each thread; the last site for those beyond."""
    thread = tl.arange(0, BLOCK)
    site = tl.program_id(0) * LANES + thread % LANES
    volume = nt * nx * ny * nz
    return thread // LANES, tl.minimum(site, volume - 1), site < volume


@triton.jit
def chain_of(field, blocks, NUMBERS: tl.constexpr):
    """The field of this program's chain."""
    return field + tl.program_id(1).to(tl.int64) * blocks * (4 * NUMBERS * LANES)


@triton.jit
def coordinate(direction, site, shape):
    """(coordinate along a direction, extent, stride)."""
    nt, nx, ny, nz = shape
    rest = site // nz
    z, y, x, t = site % nz, rest % ny, (rest // ny) % nx, rest // (ny * nx)
    of = tl.where(direction == 0, t, tl.where(direction == 1, x, tl.where(direction == 2, y, z)))
    extent = tl.where(direction == 0, nt,
                      tl.where(direction == 1, nx, tl.where(direction == 2, ny, nz)))
    stride = tl.where(direction == 0, nx * ny * nz,
                      tl.where(direction == 1, ny * nz, tl.where(direction == 2, nz, 1)))
    return of, extent, stride


@triton.jit
def hop(at, distance):
    """What to add to a site's number to go up to 2 sites on or back, periodic."""
    of, extent, stride = at
    there = of + distance
    for _ in tl.static_range(2):  # an extent may be 1
        there = tl.where(there >= extent, there - extent, there)
        there = tl.where(there < 0, there + extent, there)
    return (there - of) * stride


@triton.jit
def staple_above(links, mu, nu, site, right, up, blocks):
    """U_nu(x+mu) U_mu(x+nu)^dagger U_nu(x)^dagger, rows; right, up: how far x + mu, x + nu are."""
    corner = times(load_rows(links, nu, site, blocks), load_whole(links, mu, site + up, blocks))
    return times_dagger(load_rows(links, nu, site + right, blocks), complete(corner))


@triton.jit
def staple_below(links, mu, nu, site, right, down, blocks):
    """U_nu(x+mu-nu)^dagger U_mu(x-nu)^dagger U_nu(x-nu), rows; down: how far x - nu is."""
    corner = times(load_rows(links, mu, site + down, blocks),
                   load_whole(links, nu, site + down + right, blocks))
    return dagger_times(complete(corner), load_whole(links, nu, site + down, blocks))


@triton.jit
def staple_pair(links, total, mu, nu, site, along, across, blocks):
    """total + the two staples in the plane of mu and nu, from x + mu to x."""
    right = hop(along, 1)
    staple = staple_above(links, mu, nu, site, right, hop(across, 1), blocks)
    total = combine(1.0, total, 1.0, complete(staple))
    staple = staple_below(links, mu, nu, site, right, hop(across, -1), blocks)
    return combine(1.0, total, 1.0, complete(staple))


@triton.jit(do_not_specialize=VARIES)
def push_kernel(links, momenta, out_links, out_momenta, c: tl.float64, keep: tl.float64,
                step: tl.float64, nt, nx, ny, nz, KEEP: tl.constexpr, DRIFT: tl.constexpr):
    """P' = keep P + c TA(U A) with the plaquette staples A, and U' = exp(step P') U if DRIFT.

    P' may lie where P does, U' not where U does. Without KEEP: keep = 0, and P is not read.
    """
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links = chain_of(links, blocks, 12)
    number = links.dtype.element_ty
    along = coordinate(mu, site, shape)
    total = nothing(site.to(number))
    for k in range(1, 4):
        nu = mu ^ k
        total = staple_pair(links, total, mu, nu, site, along, coordinate(nu, site, shape), blocks)
    u = load_whole(links, mu, site, blocks)
    push = project(product(u, total), tl.full((), c, number))
    if KEEP:
        p = load_algebra(chain_of(momenta, blocks, 8), mu, site, blocks)
        push = added(tl.full((), keep, number), p, push)
    store_numbers(chain_of(out_momenta, blocks, 8), mu, site, blocks, push, exists, 8)
    if DRIFT:
        moved = times(exponential(algebra(push, tl.full((), step, number))), u)
        store_numbers(chain_of(out_links, blocks, 12), mu, site, blocks, moved, exists, 12)


@triton.jit
def pushed(momenta, force, keep, push, mu, site, blocks, exists):
    """keep P + push F of a force in memory, which takes the place of P; P without a force."""
    momenta = chain_of(momenta, blocks, 8)
    p = load_algebra(momenta, mu, site, blocks)
    if force is not None:
        f = load_algebra(chain_of(force, blocks, 8), mu, site, blocks)
        number = momenta.dtype.element_ty
        p = combined(tl.full((), keep, number), p, tl.full((), push, number), f)
        store_numbers(momenta, mu, site, blocks, p, exists, 8)
    return p


@triton.jit(do_not_specialize=VARIES)
def drift_kernel(links, momenta, force, out, keep: tl.float64, push: tl.float64, step: tl.float64,
                 nt, nx, ny, nz):
    """P' = keep P + push F with a force in memory, if it is given, in the place of P; and
    U' = exp(step P') U if there is an `out`, which may be where U lies.
    """
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    number = links.dtype.element_ty
    p = pushed(momenta, force, keep, push, mu, site, blocks, exists)
    if out is not None:
        u = load_whole(chain_of(links, blocks, 12), mu, site, blocks)
        moved = times(exponential(algebra(p, tl.full((), step, number))), u)
        store_numbers(chain_of(out, blocks, 12), mu, site, blocks, moved, exists, 12)


@triton.jit
def whole_at(mu, site, nt, nx, ny, nz):
    """Which matrix of a torch field [chain, direction, site] belongs to each thread."""
    volume = (nt * nx * ny * nz).to(tl.int64)
    return (tl.program_id(1) * 4 + mu) * volume + site


@triton.jit(do_not_specialize=VARIES)
def enter_kernel(field, out, nt, nx, ny, nz, NUMBERS: tl.constexpr):
    """Torch fields in: the rows of links (NUMBERS = 12), or eight numbers of algebra elements."""
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    m = load(field, whole_at(mu, site, nt, nx, ny, nz), mu >= 0)
    if NUMBERS == 8:
        m = (m[1], m[9], m[2], m[3], m[4], m[5], m[10], m[11])
    # The lanes of a last block that has fewer sites are filled, too: with its last site.
    place = tl.program_id(0) * LANES + tl.arange(0, BLOCK) % LANES
    store_numbers(chain_of(out, blocks, NUMBERS), mu, place, blocks, m, mu >= 0, NUMBERS)


@triton.jit(do_not_specialize=VARIES)
def leave_kernel(field, out, nt, nx, ny, nz, NUMBERS: tl.constexpr):
    """Torch fields out."""
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    field = chain_of(field, blocks, NUMBERS)
    if NUMBERS == 8:
        m = algebra(load_algebra(field, mu, site, blocks), 1.0)
    else:
        m = load_whole(field, mu, site, blocks)
    store(out, whole_at(mu, site, nt, nx, ny, nz), m, exists)
