"""The kernel of the gradient of exp(P) U, in the torch layout."""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import (
    antihermitian,
    combine,
    dagger,
    halved,
    load,
    product,
    select,
    small_exponential,
    store,
)


@triton.jit
def less_dagger(m):
    """M - M^dagger."""
    return combine(1.0, m, -1.0, dagger(m))


@triton.jit
def turned_back(x, g):
    """phi(-ad X) G with phi(z) = (e^z - 1) / z, for |X| <= 1."""
    terms: tl.constexpr = 20 if x[0].dtype == tl.float64 else 12
    total = g
    factor = tl.zeros_like(x[0]) + 1.0
    for _ in range(terms):
        factor = factor + 1.0
        g = less_dagger(product(x, g))  # [X, G]
        share = -1.0 / factor
        g = combine(share, g, 0.0, g)
        total = combine(1.0, total, 1.0, g)
    return total


@triton.jit(do_not_specialize=["count"])
def exp_multiply_pullback_kernel(momenta, links, gradient, to_momenta, to_links, count,
                                 BLOCK: tl.constexpr):
    """With E = exp(P), U' = E U, torch's gradient G by U' and X = -TA(U' G^dagger), which is twice
    that along the group: by U, E^dagger X U'; by P, phi(-ad P) X.

    Halved to |P| <= 1 as in `exponential`, phi(-2z) = phi(-z) (1 + e^-z) / 2.
    """
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x, halvings, most = halved(load(momenta, at, mask))
    e = small_exponential(x)
    small = e
    for k in range(most):
        e = select(k < halvings, product(e, e), e)
    moved = product(e, load(links, at, mask))
    g = antihermitian(product(moved, dagger(load(gradient, at, mask))), 1)
    g = combine(-1.0, g, 0.0, g)
    store(to_links, at, product(dagger(e), product(g, moved)), mask)
    g = turned_back(x, g)
    for k in range(most):
        both = combine(0.5, g, 0.5, product(dagger(small), product(g, small)))
        g = select(k < halvings, both, g)
        small = product(small, small)
    store(to_momenta, at, g, mask)
