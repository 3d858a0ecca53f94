"""SU(3) matrices in Triton as two rows, algebra elements as eight numbers, numbers apart in memory.

A matrix in SU(3) is known by its first two rows a, b: the third is the complex conjugate of
a x b. "Rows" are tuples of 12 numbers, (row, column, re/im) in order; a whole matrix has 18 (see
matrix.py). An anti-Hermitian traceless matrix is (Im 00, Im 11, Re 01, Im 01, Re 02, Im 02, Re 12,
Im 12). In memory a field is [chain, direction, block of 32 sites, number, site]: the threads of a
warp read neighbouring numbers, and one address serves all numbers of a matrix.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import imaginary, real

LANES = tl.constexpr(32)  # sites of a block


@triton.jit
def place(field, direction, site, blocks, NUMBERS: tl.constexpr):
    """Where the first number of a matrix lies."""
    block = (direction * blocks + site // LANES).to(tl.int64)
    return field + block * (NUMBERS * LANES) + site % LANES


@triton.jit
def load_rows(links, direction, site, blocks):
    """Two rows."""
    p = place(links, direction, site, blocks, 12)
    return (tl.load(p), tl.load(p + LANES), tl.load(p + 2 * LANES), tl.load(p + 3 * LANES),
            tl.load(p + 4 * LANES), tl.load(p + 5 * LANES), tl.load(p + 6 * LANES),
            tl.load(p + 7 * LANES), tl.load(p + 8 * LANES), tl.load(p + 9 * LANES),
            tl.load(p + 10 * LANES), tl.load(p + 11 * LANES))


@triton.jit
def load_whole(links, direction, site, blocks):
    """Two rows and the third that they imply."""
    return complete(load_rows(links, direction, site, blocks))


@triton.jit
def load_algebra(field, direction, site, blocks):
    """Eight numbers."""
    p = place(field, direction, site, blocks, 8)
    return (tl.load(p), tl.load(p + LANES), tl.load(p + 2 * LANES), tl.load(p + 3 * LANES),
            tl.load(p + 4 * LANES), tl.load(p + 5 * LANES), tl.load(p + 6 * LANES),
            tl.load(p + 7 * LANES))


@triton.jit
def store_numbers(field, direction, site, blocks, numbers, mask, NUMBERS: tl.constexpr):
    """The first NUMBERS of a tuple."""
    p = place(field, direction, site, blocks, NUMBERS)
    for i in tl.static_range(NUMBERS):
        tl.store(p + i * LANES, numbers[i], mask)


@triton.jit
def cross_real(m, i: tl.constexpr, j: tl.constexpr):
    """Real part of row 0 x row 1, from the columns i and j."""
    return (m[2 * i] * m[6 + 2 * j] - m[2 * i + 1] * m[7 + 2 * j]
            - m[2 * j] * m[6 + 2 * i] + m[2 * j + 1] * m[7 + 2 * i])


@triton.jit
def cross_imaginary(m, i: tl.constexpr, j: tl.constexpr):
    """Imaginary part of the complex conjugate of the same."""
    return (m[2 * j] * m[7 + 2 * i] + m[2 * j + 1] * m[6 + 2 * i]
            - m[2 * i] * m[7 + 2 * j] - m[2 * i + 1] * m[6 + 2 * j])


@triton.jit
def complete(m):
    """The whole matrix of two rows."""
    return (m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9], m[10], m[11],
            cross_real(m, 1, 2), cross_imaginary(m, 1, 2), cross_real(m, 2, 0),
            cross_imaginary(m, 2, 0), cross_real(m, 0, 1), cross_imaginary(m, 0, 1))


@triton.jit
def times(a, b):
    """Rows of A B, from rows of A and the whole B."""
    return (real(a, b, 0, 0), imaginary(a, b, 0, 0), real(a, b, 0, 1), imaginary(a, b, 0, 1),
            real(a, b, 0, 2), imaginary(a, b, 0, 2), real(a, b, 1, 0), imaginary(a, b, 1, 0),
            real(a, b, 1, 1), imaginary(a, b, 1, 1), real(a, b, 1, 2), imaginary(a, b, 1, 2))


@triton.jit
def real_after(a, b, i: tl.constexpr, j: tl.constexpr):
    """Re (A B^dagger)_ij."""
    return (a[6 * i] * b[6 * j] + a[6 * i + 1] * b[6 * j + 1]
            + a[6 * i + 2] * b[6 * j + 2] + a[6 * i + 3] * b[6 * j + 3]
            + a[6 * i + 4] * b[6 * j + 4] + a[6 * i + 5] * b[6 * j + 5])


@triton.jit
def imaginary_after(a, b, i: tl.constexpr, j: tl.constexpr):
    """Im (A B^dagger)_ij."""
    return (a[6 * i + 1] * b[6 * j] - a[6 * i] * b[6 * j + 1]
            + a[6 * i + 3] * b[6 * j + 2] - a[6 * i + 2] * b[6 * j + 3]
            + a[6 * i + 5] * b[6 * j + 4] - a[6 * i + 4] * b[6 * j + 5])


@triton.jit
def times_dagger(a, b):
    """Rows of A B^dagger, from rows of A and the whole B."""
    return (real_after(a, b, 0, 0), imaginary_after(a, b, 0, 0), real_after(a, b, 0, 1),
            imaginary_after(a, b, 0, 1), real_after(a, b, 0, 2), imaginary_after(a, b, 0, 2),
            real_after(a, b, 1, 0), imaginary_after(a, b, 1, 0), real_after(a, b, 1, 1),
            imaginary_after(a, b, 1, 1), real_after(a, b, 1, 2), imaginary_after(a, b, 1, 2))


@triton.jit
def real_before(a, b, i: tl.constexpr, j: tl.constexpr):
    """Re (A^dagger B)_ij."""
    return (a[2 * i] * b[2 * j] + a[2 * i + 1] * b[2 * j + 1]
            + a[6 + 2 * i] * b[6 + 2 * j] + a[7 + 2 * i] * b[7 + 2 * j]
            + a[12 + 2 * i] * b[12 + 2 * j] + a[13 + 2 * i] * b[13 + 2 * j])


@triton.jit
def imaginary_before(a, b, i: tl.constexpr, j: tl.constexpr):
    """Im (A^dagger B)_ij."""
    return (a[2 * i] * b[2 * j + 1] - a[2 * i + 1] * b[2 * j]
            + a[6 + 2 * i] * b[7 + 2 * j] - a[7 + 2 * i] * b[6 + 2 * j]
            + a[12 + 2 * i] * b[13 + 2 * j] - a[13 + 2 * i] * b[12 + 2 * j])


@triton.jit
def dagger_times(a, b):
    """Rows of A^dagger B, from both as a whole."""
    return (real_before(a, b, 0, 0), imaginary_before(a, b, 0, 0), real_before(a, b, 0, 1),
            imaginary_before(a, b, 0, 1), real_before(a, b, 0, 2), imaginary_before(a, b, 0, 2),
            real_before(a, b, 1, 0), imaginary_before(a, b, 1, 0), real_before(a, b, 1, 1),
            imaginary_before(a, b, 1, 1), real_before(a, b, 1, 2), imaginary_before(a, b, 1, 2))


@triton.jit
def project(m, c):
    """c TA(M) of a whole matrix, eight numbers."""
    mean = (m[1] + m[9] + m[17]) / 3
    half = 0.5 * c
    return (c * (m[1] - mean), c * (m[9] - mean), half * (m[2] - m[6]), half * (m[3] + m[7]),
            half * (m[4] - m[12]), half * (m[5] + m[13]), half * (m[10] - m[14]),
            half * (m[11] + m[15]))


@triton.jit
def added(keep, p, f):
    """keep P + F of eight numbers."""
    return (keep * p[0] + f[0], keep * p[1] + f[1], keep * p[2] + f[2], keep * p[3] + f[3],
            keep * p[4] + f[4], keep * p[5] + f[5], keep * p[6] + f[6], keep * p[7] + f[7])


@triton.jit
def combined(keep, p, push, f):
    """keep P + push F of eight numbers."""
    return (keep * p[0] + push * f[0], keep * p[1] + push * f[1], keep * p[2] + push * f[2],
            keep * p[3] + push * f[3], keep * p[4] + push * f[4], keep * p[5] + push * f[5],
            keep * p[6] + push * f[6], keep * p[7] + push * f[7])


@triton.jit
def algebra(p, c):
    """c P of eight numbers as a whole matrix."""
    zero = tl.zeros_like(p[0])
    a, b, d, e, f, g = c * p[2], c * p[3], c * p[4], c * p[5], c * p[6], c * p[7]
    one, two = c * p[0], c * p[1]
    return (zero, one, a, b, d, e, -a, b, zero, two, f, g, -d, e, -f, g, zero, -one - two)
