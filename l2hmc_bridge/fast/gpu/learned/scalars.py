"""Networks of a link in Triton, which take and give scalars of it.

A network has one hidden layer. In memory it is hidden + 1 rows of 8 numbers: of each hidden unit
what it takes of the two inputs, its offset, and what each of five outputs takes of it; last the
offsets of the outputs. Loops over hidden units stay loops.
"""

import triton
import triton.language as tl

ROW = tl.constexpr(8)  # numbers of a row of weights
LARGE = tl.constexpr(2.0**27)  # beyond it x / sqrt(1 + x^2) is 1 to the last bit


@triton.jit
def inverse(x):
    """1 / x of numbers from 1 to 2: from one of single precision, with an error e, by e^3."""
    y = (1.0 / x.to(tl.float32)).to(x.dtype)
    e = 1.0 - x * y
    return y + y * (e + e * e)


@triton.jit
def inverse_root(x):
    """1 / sqrt(x) of numbers from 1 to 2^55, likewise by e^4."""
    y = tl.rsqrt(x.to(tl.float32)).to(x.dtype)
    e = 1.0 - (x * y) * y
    return y + (y * e) * ((0.3125 * e + 0.375) * e + 0.5)


@triton.jit
def activated(x, TANH: tl.constexpr):
    """tanh x, or x / sqrt(1 + x^2), without what a GPU would call a function for."""
    if TANH:
        e = tl.exp(-2.0 * tl.abs(x))
        size = (1.0 - e) * inverse(1.0 + e)
        found = tl.where(x < 0.0, -size, size)
    else:
        x = tl.where(x > LARGE, LARGE, tl.where(x < -LARGE, -LARGE, x))
        found = x * inverse_root(1.0 + x * x)
    return found


@triton.jit
def outputs(weights, hidden, one, two, TANH: tl.constexpr):
    """The five outputs of a network of (one, two)."""
    zero, last = tl.zeros_like(one), weights + hidden * ROW + 3
    a, b, c = zero + tl.load(last), zero + tl.load(last + 1), zero + tl.load(last + 2)
    d, e = zero + tl.load(last + 3), zero + tl.load(last + 4)
    for unit in range(hidden):
        row = weights + unit * ROW
        y = activated(tl.load(row) * one + tl.load(row + 1) * two + tl.load(row + 2), TANH)
        a += tl.load(row + 3) * y
        b += tl.load(row + 4) * y
        c += tl.load(row + 5) * y
        d += tl.load(row + 6) * y
        e += tl.load(row + 7) * y
    return a, b, c, d, e


@triton.jit
def inner(p):
    """<P, P> = -2 tr P^2 of eight numbers."""
    third = p[0] + p[1]
    beside = (p[2] * p[2] + p[3] * p[3] + p[4] * p[4] + p[5] * p[5] + p[6] * p[6] + p[7] * p[7])
    return 2.0 * (p[0] * p[0] + p[1] * p[1] + third * third) + 4.0 * beside
