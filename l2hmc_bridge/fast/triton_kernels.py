"""Kernels for graphics cards in Triton: 3x3 complex matrices as tuples of 18 numbers per site.

A program works on BLOCK sites of one chain in the torch layout [Nb,4,site][row][column][re, im].
Loops are left to the card: unrolled, they take minutes to compile. Imported where triton is there,
see gpu.py.
"""

import triton
import triton.language as tl

SQUARINGS = tl.constexpr(16)  # norms up to 2^16
TERMS = tl.constexpr(18)


@triton.jit
def load(matrices, at, mask):
    p = matrices + at * 18
    return (tl.load(p, mask, 0.0), tl.load(p + 1, mask, 0.0), tl.load(p + 2, mask, 0.0),
            tl.load(p + 3, mask, 0.0), tl.load(p + 4, mask, 0.0), tl.load(p + 5, mask, 0.0),
            tl.load(p + 6, mask, 0.0), tl.load(p + 7, mask, 0.0), tl.load(p + 8, mask, 0.0),
            tl.load(p + 9, mask, 0.0), tl.load(p + 10, mask, 0.0), tl.load(p + 11, mask, 0.0),
            tl.load(p + 12, mask, 0.0), tl.load(p + 13, mask, 0.0), tl.load(p + 14, mask, 0.0),
            tl.load(p + 15, mask, 0.0), tl.load(p + 16, mask, 0.0), tl.load(p + 17, mask, 0.0))


@triton.jit
def store(matrices, at, m, mask):
    for i in tl.static_range(18):
        tl.store(matrices + at * 18 + i, m[i], mask)


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
def neighbour(site, direction, back: tl.constexpr, nt, nx, ny, nz):
    """The site one step ahead or back along (t, x, y, z)[direction], periodic."""
    stride = tl.where(direction == 0, nx * ny * nz,
                      tl.where(direction == 1, ny * nz, tl.where(direction == 2, nz, 1)))
    extent = tl.where(direction == 0, nt,
                      tl.where(direction == 1, nx, tl.where(direction == 2, ny, nz)))
    place = (site // stride) % extent
    if back:
        return tl.where(place == 0, site + (extent - 1) * stride, site - stride)
    else:
        return tl.where(place == extent - 1, site - (extent - 1) * stride, site + stride)


@triton.jit
def force_kernel(links, out, number, nt, nx, ny, nz, BLOCK: tl.constexpr):
    """F_mu = scale TA(U_mu A_mu), scale = beta / 6 in `number` (an argument would be float32).

    A_mu is the sum of the six staples that close U_mu to plaquettes; grid: sites, chains, 4.
    """
    scale = tl.load(number)
    volume = nt * nx * ny * nz
    site = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = site < volume
    chain = tl.program_id(1).to(tl.int64) * 4 * volume * 18
    mu = tl.program_id(2)
    links += chain
    ahead = neighbour(site, mu, False, nt, nx, ny, nz)
    u = load(links, mu * volume + site, mask)
    m = combine(0.0, u, 0.0, u)
    for k in range(1, 4):
        nu = (mu + k) % 4
        up = neighbour(site, nu, False, nt, nx, ny, nz)
        down = neighbour(site, nu, True, nt, nx, ny, nz)
        side = neighbour(ahead, nu, True, nt, nx, ny, nz)
        way = product(load(links, nu * volume + site, mask), load(links, mu * volume + up, mask))
        upper = product(load(links, nu * volume + ahead, mask), dagger(way))
        way = product(load(links, mu * volume + down, mask),
                      load(links, nu * volume + side, mask))
        lower = product(dagger(way), load(links, nu * volume + down, mask))
        m = combine(1.0, m, 1.0, product(u, combine(1.0, upper, 1.0, lower)))
    f = combine(0.5 * scale, m, -0.5 * scale, dagger(m))
    mean = (f[1] + f[9] + f[17]) / 3
    f = (f[0], f[1] - mean, f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9] - mean, f[10], f[11],
         f[12], f[13], f[14], f[15], f[16], f[17] - mean)
    store(out + chain, mu * volume + site, f, mask)


@triton.jit
def plaquette_kernel(links, out, nt, nx, ny, nz, BLOCK: tl.constexpr):
    """Re tr P of each site and plane, [Nb, 6, site]; grid: sites, chains, 6."""
    volume = nt * nx * ny * nz
    site = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = site < volume
    chain = tl.program_id(1).to(tl.int64)
    plane = tl.program_id(2)
    mu = tl.where(plane < 3, 0, tl.where(plane < 5, 1, 2))
    nu = tl.where(plane < 3, plane + 1, tl.where(plane < 5, plane - 1, 3))
    links += chain * 4 * volume * 18
    one = product(load(links, mu * volume + site, mask), load(
        links, nu * volume + neighbour(site, mu, False, nt, nx, ny, nz), mask))
    two = product(load(links, nu * volume + site, mask), load(
        links, mu * volume + neighbour(site, nu, False, nt, nx, ny, nz), mask))
    total = one[0] * two[0]
    for i in tl.static_range(1, 18):
        total += one[i] * two[i]
    tl.store(out + (chain * 6 + plane) * volume + site, total, mask)


@triton.jit
def exp_multiply_kernel(momenta, links, out, number, matrices, BLOCK: tl.constexpr):
    """exp(step P) U: Horner's rule on X = step P / 2^k with |X| <= 1, squared k times."""
    step = tl.load(number)
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < matrices
    x = load(momenta, at, mask)
    norm = x[0] * x[0]
    for i in tl.static_range(1, 18):
        norm += x[i] * x[i]
    norm = norm * step * step
    factor = norm * 0.0 + 1.0
    for _ in tl.static_range(SQUARINGS):
        large = norm > 1.0
        factor = tl.where(large, factor * 0.5, factor)
        norm = tl.where(large, norm * 0.25, norm)
    x = combine(factor * step, x, 0.0, x)
    one = 1.0 + 0.0 * norm
    zero = 0.0 * norm
    unit = (one, zero, zero, zero, zero, zero, zero, zero, one, zero, zero, zero, zero, zero,
            zero, zero, one, zero)
    e = unit
    count = one * TERMS
    for _ in range(TERMS):
        e = combine(1.0, unit, 1.0 / count, product(x, e))
        count = count - 1.0
    for _ in range(SQUARINGS):
        more = tl.where(factor < 0.75, one, zero)
        e = combine(more, product(e, e), 1.0 - more, e)
        factor = factor * 2.0
    store(out, at, product(e, load(links, at, mask)), mask)
