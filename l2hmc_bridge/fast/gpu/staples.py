"""Kernels that leave something of each link in the torch layout, or take a torch field in.

A program works on D directions, 1 or 4, of a block of 32 sites, a warp each; grid: blocks, chains.
Links must be in SU(3).
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.learned.kicks import smoothed, square_of, staples
from l2hmc_bridge.fast.gpu.matrix import load, product, square_norm, store
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of
from l2hmc_bridge.fast.gpu.planar_matrix import LANES, algebra, load_whole, project, store_numbers
from l2hmc_bridge.fast.gpu.rectangles import rectangles

VARIES = ["first", "nt", "nx", "ny", "nz"]


@triton.jit
def links_from(first, nt, nx, ny, nz, D: tl.constexpr):
    """(direction, site, whether it exists) of each thread, of D directions from `first` on."""
    thread = tl.arange(0, D * LANES)
    site = tl.program_id(0) * LANES + thread % LANES
    volume = nt * nx * ny * nz
    return first + thread // LANES, tl.minimum(site, volume - 1), site < volume


@triton.jit
def field_from(field, first, blocks, NUMBERS: tl.constexpr, D: tl.constexpr):
    """This program's chain of a field of D directions, so that `first` is its first one."""
    return field + (tl.program_id(1).to(tl.int64) * D - first) * blocks * (NUMBERS * LANES)


@triton.jit
def whole_from(mu, first, site, nt, nx, ny, nz, D: tl.constexpr):
    """Which matrix or number of a torch field [chain, D directions, site] is a thread's."""
    volume = (nt * nx * ny * nz).to(tl.int64)
    return (tl.program_id(1) * D + mu - first) * volume + site


@triton.jit(do_not_specialize=VARIES)
def staple_kernel(links, out, first, nt, nx, ny, nz, FORM: tl.constexpr, D: tl.constexpr):
    """FORM "staples": A of each link, "rectangles": A^rect, "trace": Re tr(U A), "square":
    TA((U A)^2) / 36, "norm": tr(A A^dagger).
    """
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = links_from(first, nt, nx, ny, nz, D)
    links = chain_of(links, blocks, 12)
    at = whole_from(mu, first, site, nt, nx, ny, nz, D)
    if FORM == "rectangles":
        store(out, at, rectangles(links, mu, site, shape, blocks), exists)
    else:
        a = staples(links, mu, site, shape, blocks)
        if FORM == "staples":
            store(out, at, a, exists)
        elif FORM == "norm":
            tl.store(out + at, square_norm(a), exists)
        else:
            m = product(load_whole(links, mu, site, blocks), a)
            if FORM == "trace":
                tl.store(out + at, m[0] + m[8] + m[16], exists)
            else:
                store(out, at, algebra(square_of(m), 1.0), exists)


@triton.jit(do_not_specialize=VARIES)
def algebra_kernel(field, out, c: tl.float64, nt, nx, ny, nz, D: tl.constexpr):
    """c TA(X) of a torch field of D directions, eight numbers, in every lane of the blocks."""
    blocks = tl.num_programs(0)
    mu, site, _ = links_from(0, nt, nx, ny, nz, D)
    m = load(field, whole_from(mu, 0, site, nt, nx, ny, nz, D), mu >= 0)
    v = project(m, tl.full((), c, field.dtype.element_ty))
    lane = tl.program_id(0) * LANES + tl.arange(0, D * LANES) % LANES
    store_numbers(field_from(out, 0, blocks, 8, D), mu, lane, blocks, v, mu >= 0, 8)


@triton.jit(do_not_specialize=VARIES)
def laplacian_kernel(links, field, out, first, nt, nx, ny, nz, FIRST: tl.constexpr,
                     D: tl.constexpr):
    """Lap X of D directions, over nu besides their own for FIRST = 1, over all nu for 0."""
    blocks = tl.num_programs(0)
    mu, site, exists = links_from(first, nt, nx, ny, nz, D)
    moved = smoothed(chain_of(links, blocks, 12), field_from(field, first, blocks, 8, D), mu, site,
                     (nt, nx, ny, nz), blocks, FIRST)
    store(out, whole_from(mu, first, site, nt, nx, ny, nz, D), algebra(moved, 1.0), exists)
