"""The kernel of the gradient of exp(P) U, in the torch layout."""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import (
    combine,
    dagger,
    halved,
    load,
    product,
    select,
    small_exponential,
    store,
)
from l2hmc_bridge.fast.gpu.planar_matrix import added, algebra, project


@triton.jit
def turned_back(x, g):
    """phi(-ad X) G with phi(z) = (e^z - 1) / z, of eight numbers each, for |X| <= 1."""
    terms: tl.constexpr = 20 if x[0].dtype == tl.float64 else 12
    total = g
    factor = tl.zeros_like(x[0]) + 1.0
    for _ in range(terms):
        factor = factor + 1.0
        # [X, G] is twice the anti-Hermitian part of X G, which has no trace.
        g = project(product(algebra(x, 1.0), algebra(g, 1.0)), -2.0 / factor)
        total = added(1.0, total, g)
    return total


@triton.jit
def chosen(flag, a, b):
    """a where `flag`, b elsewhere, of eight numbers."""
    return (tl.where(flag, a[0], b[0]), tl.where(flag, a[1], b[1]), tl.where(flag, a[2], b[2]),
            tl.where(flag, a[3], b[3]), tl.where(flag, a[4], b[4]), tl.where(flag, a[5], b[5]),
            tl.where(flag, a[6], b[6]), tl.where(flag, a[7], b[7]))


@triton.jit(do_not_specialize=["count"])
def exp_multiply_pullback_kernel(momenta, links, gradient, to_momenta, to_links,
                                 step: tl.float64, count, BLOCK: tl.constexpr):
    """With E = exp(h P), U' = E U, torch's gradient G by U' and X = -TA(U' G^dagger), which is
    twice that along the group: by U, E^dagger X U'; by P, h phi(-ad h P) X.

    Halved to |h P| <= 1 as in `exponential`, phi(-2z) = phi(-z) (1 + e^-z) / 2.
    """
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    h, p = tl.full((), step, momenta.dtype.element_ty), load(momenta, at, mask)
    x, halvings, most = halved(combine(h, p, 0.0, p))
    small = small_exponential(x)
    e = small
    for k in range(most):
        e = select(k < halvings, product(e, e), e)
    moved = product(e, load(links, at, mask))
    g = project(product(moved, dagger(load(gradient, at, mask))), -1.0)
    store(to_links, at, product(dagger(e), product(algebra(g, 1.0), moved)), mask)
    x = project(x, 1.0)
    g = turned_back(x, g)
    for k in range(most):
        turned = project(product(dagger(small), product(algebra(g, 1.0), small)), 0.5)
        both = added(0.5, g, turned)
        g = chosen(k < halvings, both, g)
        small = product(small, small)
    store(to_momenta, at, algebra(g, h), mask)
