"""The Wilson force in numba, loops over sites: the alternative measured against the C++ kernels.

Run alone (pip install numba): python -m benchmarks.kernels.numba_force [extent] [threads]
"""

import sys
import time

import numba
import numpy as np
import torch

from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import blocks as blocked, library
from l2hmc_bridge.systems import actions


@numba.njit(inline="always")
def multiply(a, b, out):
    """out = a b."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@numba.njit(inline="always")
def multiply_dagger(a, b, out):
    """out = a b^dagger."""
    for i in range(3):
        for j in range(3):
            out[i, j] = (a[i, 0] * b[j, 0].conjugate() + a[i, 1] * b[j, 1].conjugate()
                         + a[i, 2] * b[j, 2].conjugate())


@numba.njit(inline="always")
def dagger_multiply(a, b, out):
    """out = a^dagger b."""
    for i in range(3):
        for j in range(3):
            out[i, j] = (a[0, i].conjugate() * b[0, j] + a[1, i].conjugate() * b[1, j]
                         + a[2, i].conjugate() * b[2, j])


@numba.njit(parallel=True, fastmath=True)
def force(links, ahead, behind, beta, out):
    """F_mu = (beta/6) TA(U_mu A_mu); links [sites,4,3,3], neighbours [sites,4]."""
    for x in numba.prange(links.shape[0]):
        one, two = np.empty((3, 3), np.complex128), np.empty((3, 3), np.complex128)
        paths = np.empty((3, 3), np.complex128)
        for mu in range(4):
            paths[:] = 0
            for nu in range(4):
                if nu == mu:
                    continue
                multiply(links[x, nu], links[ahead[x, nu], mu], one)
                multiply_dagger(one, links[ahead[x, mu], nu], two)
                paths += two
                y = behind[x, nu]
                dagger_multiply(links[y, nu], links[y, mu], one)
                multiply(one, links[ahead[y, mu], nu], two)
                paths += two
            multiply_dagger(links[x, mu], paths, one)
            third = (one[0, 0].imag + one[1, 1].imag + one[2, 2].imag) / 3
            for i in range(3):
                for j in range(3):
                    value = 0.5 * (one[i, j] - one[j, i].conjugate())
                    out[x, mu, i, j] = (beta / 6) * (value - 1j * third * (i == j))


def neighbours(extent):
    """(ahead, behind) [sites, 4] of a hypercubic lattice."""
    sites = np.arange(extent**4).reshape((extent,) * 4)
    stack = [np.stack([np.roll(sites, s, mu).ravel() for mu in range(4)], 1) for s in (-1, 1)]
    return tuple(np.ascontiguousarray(one) for one in stack)


def seconds(function, repeats=25):
    """Fastest of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    extent = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    numba.set_num_threads(threads)
    torch.set_num_threads(threads)
    fast.keep_memory()
    links = actions.hot_start((extent,) * 4, torch.Generator().manual_seed(1))
    plain = np.ascontiguousarray(links[0].permute(1, 2, 3, 4, 0, 5, 6).reshape(-1, 4, 3, 3))
    ahead, behind = neighbours(extent)
    out = np.empty_like(plain)
    start = time.perf_counter()
    force(plain, ahead, behind, 6.0, out)
    first = time.perf_counter() - start
    ours = fast.force(links, 6.0)[0].permute(1, 2, 3, 4, 0, 5, 6).reshape(-1, 4, 3, 3).numpy()
    micro = 1e6 / extent**4
    print(f"{extent}^4, {torch.get_num_threads()} threads, difference {abs(out - ours).max():.1e}")
    print(f"numba   {seconds(lambda: force(plain, ahead, behind, 6.0, out)) * micro:.3f} us/site, "
          f"first call {first:.1f} s")
    lattice = library.lattice((extent,) * 4)
    blocks = blocked.links_in(lattice, links)
    room = lattice.empty(1, library.ALGEBRA)
    inside = seconds(lambda: blocked.force(lattice, blocks, 6.0, 0.0, out=room))
    print(f"kernels {inside * micro:.3f} us/site in their layout ({fast.description()}), "
          f"{seconds(lambda: fast.force(links, 6.0)) * micro:.3f} from and to torch")


if __name__ == "__main__":
    main()
