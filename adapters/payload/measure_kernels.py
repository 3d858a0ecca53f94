"""Compiled verification of large fields: plaquettes, link trace, distance from SU(3).

Imported only through `dispatch.measure_kernels`. Links are flat doubles of [4,Nt,Nx,Ny,Nz,3,3].
"""

from numba import njit

# No "nnan": a NaN in a link has to come out as a NaN.
FAST = {"contract", "reassoc", "nsz"}


@njit(inline="always")
def _retrace(links, a, b, c, d):
    """Re tr (U_a U_b) (U_c U_d)^dagger of the links that begin at a, b, c, d."""
    total = 0.0
    for row in range(3):
        for column in range(3):
            one_re = one_im = two_re = two_im = 0.0
            for k in range(3):
                p, q = a + 6 * row + 2 * k, b + 6 * k + 2 * column
                one_re += links[p] * links[q] - links[p + 1] * links[q + 1]
                one_im += links[p] * links[q + 1] + links[p + 1] * links[q]
                p, q = c + 6 * row + 2 * k, d + 6 * k + 2 * column
                two_re += links[p] * links[q] - links[p + 1] * links[q + 1]
                two_im += links[p] * links[q + 1] + links[p + 1] * links[q]
            total += one_re * two_re + one_im * two_im
    return total


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def plaquettes(links, shape, t, sums):
    """sums[t, x, plane]: sum over y, z of Re tr P; planes (t,x) (t,y) (t,z) (x,y) (x,z) (y,z)."""
    nt, nx, ny, nz = shape
    per_x, per_y = ny * nz * 18, nz * 18
    per_t = nx * per_x
    m = nt * per_t
    for x in range(nx):
        tx = ty = tz = xy = xz = yz = 0.0
        for y in range(ny):
            here = t * per_t + x * per_x + y * per_y
            up_t = ((t + 1) % nt) * per_t + x * per_x + y * per_y
            up_x = t * per_t + ((x + 1) % nx) * per_x + y * per_y
            up_y = t * per_t + x * per_x + ((y + 1) % ny) * per_y
            for z in range(nz):
                h, ht, hx, hy = here + z * 18, up_t + z * 18, up_x + z * 18, up_y + z * 18
                hz = here + ((z + 1) % nz) * 18
                tx += _retrace(links, h, m + ht, m + h, hx)
                ty += _retrace(links, h, 2 * m + ht, 2 * m + h, hy)
                tz += _retrace(links, h, 3 * m + ht, 3 * m + h, hz)
                xy += _retrace(links, m + h, 2 * m + hx, 2 * m + h, m + hy)
                xz += _retrace(links, m + h, 3 * m + hx, 3 * m + h, m + hz)
                yz += _retrace(links, 2 * m + h, 3 * m + hy, 3 * m + h, 2 * m + hz)
        for plane, total in enumerate((tx, ty, tz, xy, xz, yz)):
            sums[t, x, plane] = total


@njit(inline="always")
def _determinant_defect(links, o):
    """|det U - 1|^2 of the link that begins at o."""
    re = im = 0.0
    for k in range(3):
        p, q = o + 6 + 2 * ((k + 1) % 3), o + 12 + 2 * ((k + 2) % 3)
        r, s = o + 6 + 2 * ((k + 2) % 3), o + 12 + 2 * ((k + 1) % 3)
        minor_re = links[p] * links[q] - links[p + 1] * links[q + 1]
        minor_re -= links[r] * links[s] - links[r + 1] * links[s + 1]
        minor_im = links[p] * links[q + 1] + links[p + 1] * links[q]
        minor_im -= links[r] * links[s + 1] + links[r + 1] * links[s]
        re += links[o + 2 * k] * minor_re - links[o + 2 * k + 1] * minor_im
        im += links[o + 2 * k] * minor_im + links[o + 2 * k + 1] * minor_re
    return (re - 1.0) * (re - 1.0) + im * im


@njit(inline="always")
def _unitarity_defect(links, o):
    """max |(U U^dagger - 1)_ij|^2 of the link that begins at o, and the sum of them."""
    worst = total = 0.0
    for i in range(3):
        for j in range(i, 3):
            re = im = 0.0
            for k in range(3):
                p, q = o + 6 * i + 2 * k, o + 6 * j + 2 * k
                re += links[p] * links[q] + links[p + 1] * links[q + 1]
                im += links[p + 1] * links[q] - links[p] * links[q + 1]
            if i == j:
                re -= 1.0
            size = re * re + im * im
            worst = max(worst, size)
            total += size
    return worst, total


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def group(links, begin, end, found):
    """found: sum of Re tr U; max |UU^dagger-1|^2; max |det U-1|^2; a sum that keeps any NaN."""
    trace = unitarity = determinant = total = 0.0
    for link in range(begin, end):
        o = link * 18
        trace += links[o] + links[o + 8] + links[o + 16]
        worst, size = _unitarity_defect(links, o)
        defect = _determinant_defect(links, o)
        unitarity = max(unitarity, worst)
        determinant = max(determinant, defect)
        total += size + defect
    found[0], found[1], found[2], found[3] = trace, unitarity, determinant, total
