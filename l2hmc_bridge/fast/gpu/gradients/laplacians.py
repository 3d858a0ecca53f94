"""The kernel of the gradient along the group of the covariant Laplacian, numbers apart."""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import combine, nothing, plus_product
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, coordinate, here, hop
from l2hmc_bridge.fast.gpu.planar_matrix import (
    algebra,
    load_algebra,
    load_whole,
    project,
    store_numbers,
    times,
    times_dagger,
)
from l2hmc_bridge.fast.gpu.staples import field_from

VARIES = ["first", "transverse", "nt", "nx", "ny", "nz"]


@triton.jit
def carried(u, x):
    """U X U^dagger of eight numbers X, as a whole matrix."""
    m = times_dagger(times(u, algebra(x, 1.0)), u)
    return algebra((m[1], m[9], m[2], m[3], m[4], m[5], m[10], m[11]), 1.0)


@triton.jit(do_not_specialize=VARIES)
def laplacian_pullback_kernel(links, field, gradient, along, first, transverse, nt, nx, ny, nz,
                              D: tl.constexpr):
    """Of sum <G, Lap X> over D directions mu from `first` on, for each link of direction nu:
    sum over mu of [U X(x+nu) U^dagger, G(x)] + [U G(x+nu) U^dagger, X(x)], without mu = nu if
    `transverse`.
    """
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    nu, site, exists = here(nt, nx, ny, nz)
    field, gradient = (field_from(field, first, blocks, 8, D),
                       field_from(gradient, first, blocks, 8, D))
    u = load_whole(chain_of(links, blocks, 12), nu, site, blocks)
    up = site + hop(coordinate(nu, site, shape), 1)
    total = nothing(u[0])
    for n in range(D):
        mu = first + n
        x = load_algebra(field, mu, site, blocks)
        g = load_algebra(gradient, mu, site, blocks)
        there = carried(u, load_algebra(field, mu, up, blocks))
        both = plus_product(nothing(u[0]), there, algebra(g, 1.0))
        there = carried(u, load_algebra(gradient, mu, up, blocks))
        both = plus_product(both, there, algebra(x, 1.0))
        counts = tl.where((transverse == 1) & (nu == mu), 0.0, 1.0).to(u[0].dtype)
        total = combine(1.0, total, counts, both)
    # Of anti-Hermitian A and B, [A, B] is A B less its adjoint.
    store_numbers(chain_of(along, blocks, 8), nu, site, blocks, project(total, 2.0), exists, 8)
