"""Kernels of a kick with a network and the drift after it, in one.

Formulas: l2hmc/kernel.py and networks/covariant.py. What is not wanted is None. Links must be in
SU(3). The links that drift are all, or all but those of direction `chosen` and one parity, which
stay or move by a network: `moved` is where they come to lie, apart from U.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.learned.drifts import VARIES, drifted, is_chosen
from l2hmc_bridge.fast.gpu.learned.kicks import (
    force_of,
    kicked,
    load_number,
    smoothed,
    square_of,
    staples,
    store_number,
    times_number,
)
from l2hmc_bridge.fast.gpu.learned.scalars import inner, outputs
from l2hmc_bridge.fast.gpu.matrix import product, square_norm
from l2hmc_bridge.fast.gpu.planar_kernels import chain_of, here
from l2hmc_bridge.fast.gpu.planar_matrix import added, load_algebra, load_whole, store_numbers


@triton.jit
def with_loop(push, loop, weight, mu, site, blocks):
    """push + weight V of a loop in memory, if there is one."""
    if loop is not None:
        push = added(weight, load_algebra(chain_of(loop, blocks, 8), mu, site, blocks), push)
    return push


@triton.jit
def finished(push, momenta, exponent, kept, out, s, h, keep, mu, site, blocks, exists,
             MODE: tl.constexpr):
    """P' of the kick with a push, into `out`; with `kept` the push alone, and s is kept there."""
    if kept is not None:
        store_number(kept, mu, site, blocks, s, exists)
        found = push
    else:
        found = kicked(momenta, exponent, push, s, h, tl.full((), keep, h.dtype), mu, site,
                       blocks, exists, MODE)
    store_numbers(chain_of(out, blocks, 8), mu, site, blocks, found, exists, 8)
    return found


@triton.jit(do_not_specialize=VARIES)
def known_kernel(links, force, base, trace, square, rectangle, weights, hidden, momenta, exponent,
                 kept, out, moved, h: tl.float64, keep: tl.float64, step: tl.float64, chosen, odd,
                 nt, nx, ny, nz, MODE: tl.constexpr, LAPLACIAN: tl.constexpr, TANH: tl.constexpr):
    """The kick with push = F e^{2 h^2 q} + h^2 (c_1 V_1 + c_2 V_2 + c_3 V_3), times `keep`, at a
    field whose force is in memory, and U' = exp(step P') U, if it is wanted.

    The network is that of Re tr(U A) and <F, F>, of the force in `base` if it is another one, as is
    the Laplacian.
    """
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links, field = chain_of(links, blocks, 12), chain_of(force, blocks, 8)
    f = load_algebra(field, mu, site, blocks)
    seen = f
    if base is not None:
        field = chain_of(base, blocks, 8)
        seen = load_algebra(field, mu, site, blocks)
    s, q, one, two, three = outputs(weights, hidden, load_number(trace, mu, site, blocks),
                                    inner(seen), TANH)
    h = tl.full((), h, force.dtype.element_ty)
    push = times_number(tl.exp(2.0 * (h * h) * q), f)
    push = with_loop(push, square, h * h * one, mu, site, blocks)
    push = with_loop(push, rectangle, h * h * two, mu, site, blocks)
    if LAPLACIAN:
        push = added(h * h * three, smoothed(links, field, mu, site, shape, blocks, 0), push)
    p = finished(push, momenta, exponent, kept, out, s, h, keep, mu, site, blocks, exists, MODE)
    if moved is not None:
        drifted(links, chain_of(moved, blocks, 12), p, tl.full((), step, h.dtype),
                is_chosen(mu, site, chosen, odd, shape), mu, site, blocks, exists)


@triton.jit(do_not_specialize=VARIES)
def step_kernel(links, rectangle, weights, hidden, momenta, exponent, kept, out, turn, units, moved,
                c0: tl.float64, c1: tl.float64, h: tl.float64, keep: tl.float64, e: tl.float64,
                sign: tl.float64, chosen, odd, nt, nx, ny, nz, MODE: tl.constexpr,
                SQUARE: tl.constexpr, TANH: tl.constexpr, TURN_TANH: tl.constexpr):
    """The kick whose force F = c0 TA(U A) + c1 V and loops stay in registers, times `keep`, with
    V = TA(U A^rect) in memory; and U' = exp(sign e P') U, if it is wanted.

    Chosen links move by exp(sign e P' e^{e^2 q}) with `turn`, the network of tr A A^dagger and
    <P', P'> with so many hidden `units`.
    """
    shape = (nt, nx, ny, nz)
    blocks = tl.num_programs(0)
    mu, site, exists = here(nt, nx, ny, nz)
    links = chain_of(links, blocks, 12)
    h = tl.full((), h, links.dtype.element_ty)
    total = staples(links, mu, site, shape, blocks)
    m = product(load_whole(links, mu, site, blocks), total)
    push = force_of(m, rectangle, c0, c1, mu, site, blocks)
    s = tl.zeros_like(push[0])
    if weights is not None:
        s, q, one, two, _ = outputs(weights, hidden, m[0] + m[8] + m[16], inner(push), TANH)
        push = times_number(tl.exp(2.0 * (h * h) * q), push)
        if SQUARE:
            push = added(h * h * one, square_of(m), push)
        push = with_loop(push, rectangle, h * h * two, mu, site, blocks)
    p = finished(push, momenta, exponent, kept, out, s, h, keep, mu, site, blocks, exists, MODE)
    if moved is not None:
        c, inside = tl.full((), sign * e, h.dtype), is_chosen(mu, site, chosen, odd, shape)
        moved = chain_of(moved, blocks, 12)
        if turn is not None:
            q, _, _, _, _ = outputs(turn, units, square_norm(total), inner(p), TURN_TANH)
            c = tl.where(inside, c * tl.exp(tl.full((), e * e, h.dtype) * q), c)
            drifted(links, moved, p, c, None, mu, site, blocks, exists)
        else:
            drifted(links, moved, p, c, inside, mu, site, blocks, exists)
