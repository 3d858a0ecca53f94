"""Sites, paths and sums over them in Triton, on the matrices of triton_matrix.py.

`links` are [4, site] matrices of one chain, `site` numbers (t, x, y, z), `shape` are the four
extents. Steps are those of paths.py. Loops are left to the GPU: unrolled, they take minutes to
compile.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import combine, dagger, load, load_either, nothing, product


@triton.jit
def neighbour(site, direction, change, shape):
    """The site at distance `change` = 1 or -1 along (t, x, y, z)[direction], periodic."""
    nt, nx, ny, nz = shape
    stride = tl.where(direction == 0, nx * ny * nz,
                      tl.where(direction == 1, ny * nz, tl.where(direction == 2, nz, 1)))
    extent = tl.where(direction == 0, nt,
                      tl.where(direction == 1, nx, tl.where(direction == 2, ny, nz)))
    place = (site // stride) % extent
    there = place + change
    there = tl.where(there < 0, extent - 1, tl.where(there == extent, 0, there))
    return site + (there - place) * stride


@triton.jit
def link_along(links, step, site, mask, shape):
    """(the link of one step of a path, mu + 1 or -(mu + 1), from `site`; where it leads)."""
    back = (step < 0).to(tl.int32)
    mu = tl.where(step < 0, -step, step) - 1
    there = neighbour(site, mu, 1 - 2 * back, shape)
    volume = shape[0] * shape[1] * shape[2] * shape[3]
    at = mu * volume + tl.where(step < 0, there, site)
    return load_either(links, at, back, mask), there


@triton.jit
def walk(links, steps, length, site, mask, shape):
    """(product of the links along `length` steps in memory, where they lead)."""
    m, site = link_along(links, tl.load(steps), site, mask, shape)
    for k in range(1, length):
        link, site = link_along(links, tl.load(steps + k), site, mask, shape)
        m = product(m, link)
    return m, site


@triton.jit
def path_sum(links, rows, paths, width, c0, c1, site, mask, shape):
    """Sum of the products along `paths` rows from `site`: c0 times those of three steps, c1 times
    the longer ones. A row is its number of steps, the steps, and room up to `width`.
    """
    total = nothing(site.to(links.dtype.element_ty))
    for row in range(paths):
        at = rows + row * width
        length = tl.load(at)
        m, _ = walk(links, at + 1, length, site, mask, shape)
        total = combine(1.0, total, tl.where(length == 3, c0, c1), m)
    return total


@triton.jit
def laplacian_sum(links, field, mu, site, mask, shape, FIRST: tl.constexpr):
    """Sum of U X(x +- nu) U^dagger - X over nu besides mu (FIRST = 1), or all nu (0).

    X(x +- nu) is transported to x along the link; `field` are the matrices of direction mu.
    """
    own = load(field, site, mask)
    total = combine(-2.0 * (4 - FIRST), own, 0.0, own)
    for k in range(2 * FIRST, 8):
        step = ((mu + k // 2) % 4 + 1) * (1 - 2 * (k % 2))
        link, there = link_along(links, step, site, mask, shape)
        moved = product(product(link, load(field, there, mask)), dagger(link))
        total = combine(1.0, total, 1.0, moved)
    return total
