"""3x3 complex matrices in Triton: tuples of 18 numbers per site, (row, column, re/im) in order.

`at` numbers the matrices of a field in memory. Imported where triton is there, see functions.py.
"""

import triton
import triton.language as tl

MOST_HALVINGS = tl.constexpr(40)


@triton.jit
def load(matrices, at, mask):
    p = matrices + at.to(tl.int64) * 18
    return (tl.load(p, mask, 0.0), tl.load(p + 1, mask, 0.0), tl.load(p + 2, mask, 0.0),
            tl.load(p + 3, mask, 0.0), tl.load(p + 4, mask, 0.0), tl.load(p + 5, mask, 0.0),
            tl.load(p + 6, mask, 0.0), tl.load(p + 7, mask, 0.0), tl.load(p + 8, mask, 0.0),
            tl.load(p + 9, mask, 0.0), tl.load(p + 10, mask, 0.0), tl.load(p + 11, mask, 0.0),
            tl.load(p + 12, mask, 0.0), tl.load(p + 13, mask, 0.0), tl.load(p + 14, mask, 0.0),
            tl.load(p + 15, mask, 0.0), tl.load(p + 16, mask, 0.0), tl.load(p + 17, mask, 0.0))


@triton.jit
def store(matrices, at, m, mask):
    p = matrices + at.to(tl.int64) * 18
    for i in tl.static_range(18):
        tl.store(p + i, m[i], mask)


@triton.jit
def real(a, b, i: tl.constexpr, j: tl.constexpr):
    return (a[6 * i] * b[2 * j] - a[6 * i + 1] * b[2 * j + 1]
            + a[6 * i + 2] * b[2 * j + 6] - a[6 * i + 3] * b[2 * j + 7]
            + a[6 * i + 4] * b[2 * j + 12] - a[6 * i + 5] * b[2 * j + 13])


@triton.jit
def imaginary(a, b, i: tl.constexpr, j: tl.constexpr):
    return (a[6 * i] * b[2 * j + 1] + a[6 * i + 1] * b[2 * j]
            + a[6 * i + 2] * b[2 * j + 7] + a[6 * i + 3] * b[2 * j + 6]
            + a[6 * i + 4] * b[2 * j + 13] + a[6 * i + 5] * b[2 * j + 12])


@triton.jit
def product(a, b):
    return (real(a, b, 0, 0), imaginary(a, b, 0, 0), real(a, b, 0, 1), imaginary(a, b, 0, 1),
            real(a, b, 0, 2), imaginary(a, b, 0, 2), real(a, b, 1, 0), imaginary(a, b, 1, 0),
            real(a, b, 1, 1), imaginary(a, b, 1, 1), real(a, b, 1, 2), imaginary(a, b, 1, 2),
            real(a, b, 2, 0), imaginary(a, b, 2, 0), real(a, b, 2, 1), imaginary(a, b, 2, 1),
            real(a, b, 2, 2), imaginary(a, b, 2, 2))


@triton.jit
def dagger(a):
    return (a[0], -a[1], a[6], -a[7], a[12], -a[13], a[2], -a[3], a[8], -a[9], a[14], -a[15],
            a[4], -a[5], a[10], -a[11], a[16], -a[17])


@triton.jit
def combine(p, a, q, b):
    """p a + q b with real numbers p and q."""
    return (p * a[0] + q * b[0], p * a[1] + q * b[1], p * a[2] + q * b[2], p * a[3] + q * b[3],
            p * a[4] + q * b[4], p * a[5] + q * b[5], p * a[6] + q * b[6], p * a[7] + q * b[7],
            p * a[8] + q * b[8], p * a[9] + q * b[9], p * a[10] + q * b[10],
            p * a[11] + q * b[11], p * a[12] + q * b[12], p * a[13] + q * b[13],
            p * a[14] + q * b[14], p * a[15] + q * b[15], p * a[16] + q * b[16],
            p * a[17] + q * b[17])


@triton.jit
def plus_product(total, a, b):
    """total + A B."""
    return combine(1.0, total, 1.0, product(a, b))


@triton.jit
def select(flag, a, b):
    """a where `flag`, b elsewhere."""
    return (tl.where(flag, a[0], b[0]), tl.where(flag, a[1], b[1]), tl.where(flag, a[2], b[2]),
            tl.where(flag, a[3], b[3]), tl.where(flag, a[4], b[4]), tl.where(flag, a[5], b[5]),
            tl.where(flag, a[6], b[6]), tl.where(flag, a[7], b[7]), tl.where(flag, a[8], b[8]),
            tl.where(flag, a[9], b[9]), tl.where(flag, a[10], b[10]),
            tl.where(flag, a[11], b[11]), tl.where(flag, a[12], b[12]),
            tl.where(flag, a[13], b[13]), tl.where(flag, a[14], b[14]),
            tl.where(flag, a[15], b[15]), tl.where(flag, a[16], b[16]),
            tl.where(flag, a[17], b[17]))


@triton.jit
def nothing(number):
    """The zero matrix, with numbers like `number`."""
    z = tl.zeros_like(number)
    return (z, z, z, z, z, z, z, z, z, z, z, z, z, z, z, z, z, z)


@triton.jit
def square_norm(m):
    """sum |M_ij|^2 = tr(M M^dagger)."""
    total = m[0] * m[0]
    for i in tl.static_range(1, 18):
        total += m[i] * m[i]
    return total


@triton.jit
def real_trace(a, b):
    """Re tr(A B)."""
    return real(a, b, 0, 0) + real(a, b, 1, 1) + real(a, b, 2, 2)


@triton.jit
def times_x(q, t, c):
    """Coefficients of (q0 + q1 X + q2 X^2) X, with X^3 = t X + i c; q = (re, im) of each."""
    return (-c * q[5], c * q[4], q[0] + t * q[4], q[1] + t * q[5], q[2], q[3])


@triton.jit
def halved(x):
    """(X / 2^n with |X / 2^n| <= 1, n, the largest n of the block)."""
    norm = square_norm(x)
    largest = tl.max(tl.where(norm == norm, norm, 0.0), 0)
    most = 0
    while (largest > 1.0) & (most < MOST_HALVINGS):
        largest, most = 0.25 * largest, most + 1
    halvings, factor = tl.zeros_like(norm).to(tl.int32), tl.zeros_like(norm) + 1.0
    for _ in range(most):
        large = norm > 1.0
        halvings += large.to(tl.int32)
        factor = tl.where(large, 0.5 * factor, factor)
        norm = tl.where(large, 0.25 * norm, norm)
    return combine(factor, x, 0.0, x), halvings, most


@triton.jit
def small_exponential(x):
    """exp(X) of traceless anti-Hermitian X with |X| <= 1.

    The series is summed by Horner's rule on 1, X, X^2 with X^3 = tr(X^2)/2 X + det X.
    """
    square = product(x, x)
    t = 0.5 * (square[0] + square[8] + square[16])
    c = (imaginary(square, x, 0, 0) + imaginary(square, x, 1, 1) + imaginary(square, x, 2, 2)) / 3
    zero = tl.zeros_like(t)
    # 18! times the series of 18 terms for double, 10! times that of 10 for single precision: the
    # coefficients n! / k! are whole numbers that the precision holds exactly.
    terms: tl.constexpr = 18 if t.dtype == tl.float64 else 10
    share: tl.constexpr = 1 / 6402373705728000 if t.dtype == tl.float64 else 1 / 3628800
    coefficient = zero + 1.0
    q = (coefficient, zero, zero, zero, zero, zero)
    for n in range(terms):
        coefficient *= terms - n
        q = times_x(q, t, c)
        q = (q[0] + coefficient, q[1], q[2], q[3], q[4], q[5])
    q = (q[0] * share, q[1] * share, q[2] * share, q[3] * share, q[4] * share, q[5] * share)
    return series(q, x, square)


@triton.jit
def exponential(x):
    """exp(X) of traceless anti-Hermitian X: halved to |X| <= 1, the series, squared again."""
    x, halvings, most = halved(x)
    e = small_exponential(x)
    for k in range(most):
        e = select(k < halvings, product(e, e), e)
    return e


@triton.jit
def term(q, x, square, i: tl.constexpr):
    """Real part of element i of q1 X + q2 X^2, i even."""
    return (q[2] * x[i] - q[3] * x[i + 1]) + (q[4] * square[i] - q[5] * square[i + 1])


@triton.jit
def imaginary_term(q, x, square, i: tl.constexpr):
    """Imaginary part of the same."""
    return (q[2] * x[i + 1] + q[3] * x[i]) + (q[4] * square[i + 1] + q[5] * square[i])


@triton.jit
def series(q, x, square):
    """q0 + q1 X + q2 X^2."""
    return (q[0] + term(q, x, square, 0), q[1] + imaginary_term(q, x, square, 0),
            term(q, x, square, 2), imaginary_term(q, x, square, 2),
            term(q, x, square, 4), imaginary_term(q, x, square, 4),
            term(q, x, square, 6), imaginary_term(q, x, square, 6),
            q[0] + term(q, x, square, 8), q[1] + imaginary_term(q, x, square, 8),
            term(q, x, square, 10), imaginary_term(q, x, square, 10),
            term(q, x, square, 12), imaginary_term(q, x, square, 12),
            term(q, x, square, 14), imaginary_term(q, x, square, 14),
            q[0] + term(q, x, square, 16), q[1] + imaginary_term(q, x, square, 16))
