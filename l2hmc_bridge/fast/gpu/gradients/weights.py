"""Kernels of the changes that gradients along the group are made of, and of their way out.

Torch's gradient G of a field says Re tr(G^dagger dX) of a change dX: of an algebra field its part
V = TA(G) counts, of links it is 2 g U with g the gradient along the group.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.learned.kicks import staples
from l2hmc_bridge.fast.gpu.matrix import combine, dagger, plus_product, product, store
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, here, whole_at
from l2hmc_bridge.fast.gpu.planar_matrix import (
    algebra,
    load_algebra,
    load_whole,
    project,
    store_numbers,
)
from l2hmc_bridge.fast.gpu.staples import links_from, whole_from

VARIES = ["first", "nt", "nx", "ny", "nz"]


@triton.jit(do_not_specialize=VARIES)
def along_kernel(links, along, out, c: tl.float64, nt, nx, ny, nz):
    """c g U, into the torch layout."""
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    g = load_algebra(chain_of(along, blocks, 8), mu, site, blocks)
    u = load_whole(chain_of(links, blocks, 12), mu, site, blocks)
    m = product(algebra(g, tl.full((), c, links.dtype.element_ty)), u)
    store(out, whole_at(mu, site, nt, nx, ny, nz), m, exists)


@triton.jit(do_not_specialize=VARIES)
def force_changes_kernel(links, field, changes, nt, nx, ny, nz):
    """W = -2 V U: of sum <V, TA(U A)>."""
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    v = algebra(load_algebra(chain_of(field, blocks, 8), mu, site, blocks), -2.0)
    w = product(v, load_whole(chain_of(links, blocks, 12), mu, site, blocks))
    store_numbers(chain_of(changes, blocks, 18), mu, site, blocks, w, exists, 18)


@triton.jit(do_not_specialize=VARIES)
def trace_changes_kernel(links, weights, changes, nt, nx, ny, nz):
    """W = w U: of sum w Re tr(U A), w in the torch layout."""
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    u = load_whole(chain_of(links, blocks, 12), mu, site, blocks)
    w = combine(tl.load(weights + whole_at(mu, site, nt, nx, ny, nz)), u, 0.0, u)
    store_numbers(chain_of(changes, blocks, 18), mu, site, blocks, w, exists, 18)


@triton.jit(do_not_specialize=VARIES)
def norm_changes_kernel(links, weights, changes, first, nt, nx, ny, nz):
    """W = 2 w A^dagger of the direction `first`: of sum w tr(A A^dagger), w [chain, site]."""
    blocks = tl.num_programs(0)
    mu, site, exists = links_from(first, nt, nx, ny, nz, 1)
    a = dagger(staples(chain_of(links, blocks, 12), mu, site, (nt, nx, ny, nz), blocks))
    w = tl.load(weights + whole_from(mu, first, site, nt, nx, ny, nz, 1))
    store_numbers(chain_of(changes, blocks, 18), mu, site, blocks, combine(2.0 * w, a, 0.0, a),
                  exists, 18)


@triton.jit(do_not_specialize=VARIES)
def square_changes_kernel(links, field, changes, along, nt, nx, ny, nz):
    """Of sum <V, TA(M^2)> / 36, M = U A: W = -(M V + V M) U / 18, and the own share of each link,
    TA(M [M V + V M]) / 36.
    """
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links = chain_of(links, blocks, 12)
    u = load_whole(links, mu, site, blocks)
    m = product(u, staples(links, mu, site, (nt, nx, ny, nz), blocks))
    v = algebra(load_algebra(chain_of(field, blocks, 8), mu, site, blocks), 1 / 36)
    both = plus_product(product(m, v), v, m)
    g = project(product(m, both), 1.0)
    store_numbers(chain_of(along, blocks, 8), mu, site, blocks, g, exists, 8)
    w = product(combine(-2.0, both, 0.0, both), u)
    store_numbers(chain_of(changes, blocks, 18), mu, site, blocks, w, exists, 18)
