"""Topological charge of SU(3) fields: the clover and the five-loop improved definition.

Q = -(1/4 pi^2) sum_x tr(G_xy G_zt - G_xz G_yt + G_yz G_xt), eps_xyzt = +1, G anti-Hermitian: the
sign of MILC, QUDA, QEX, Chroma, GPT and Grid; SIMULATeQCD's is opposite.
"""

import math
from collections.abc import Sequence

from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.loops import PLANES, field_strength, shift
from l2hmc_bridge.su3 import project_algebra

# hep-lat/9701012 (de Forcrand, Garcia Perez, Stamatescu), eq. 9 with c5 = 1/20.
FIVE_LOOPS = (
    (1, 1, (19 - 55 / 20) / 9),
    (2, 2, (1 - 64 / 20) / 9),
    (1, 2, (-64 + 640 / 20) / 45),
    (1, 3, 1 / 5 - 2 / 20),
    (3, 3, 1 / 20),
)


def charge_density(links: Tensor, traceless: bool = True) -> Tensor:
    """q(x) = (1/4 pi^2) tr(G_xy G_tz - G_xz G_ty + G_yz G_tx) from the clover, [Nb,Nt,Nx,Ny,Nz]."""
    return _density([field_strength(links, mu, nu, traceless) for mu, nu in PLANES])


def topological_charge(links: Tensor, traceless: bool = True) -> Tensor:
    """Q = sum_x q(x) from the clover, [Nb]."""
    return fast.clover(links, traceless)[:, 2]


def topological_charge_5li(links: Tensor, traceless: bool = True) -> Tensor:
    """Q = sum_i c_i Q(m_i x n_i) / (m_i n_i)^2 from clovers of 1x1, 2x2, 1x2, 1x3, 3x3 loops, [Nb].

    hep-lat/9701012; free of O(a^2) and O(a^4) errors for c5 = 1/20. A clover of m x n loops with
    m != n is the mean of its two orientations. Grid and GPT keep the trace.
    """
    return five_loop_density(links, traceless).flatten(1).sum(1)


def five_loop_density(links: Tensor, traceless: bool = True) -> Tensor:
    """Charge density of the five-loop definition, [Nb,Nt,Nx,Ny,Nz]."""
    lines = {
        (mu, length): line(links, mu, length) for mu in range(4) for length in (1, 2, 3)
    }
    total = 0
    for m, n, coefficient in FIVE_LOOPS:
        fields = [_loop_field(lines, mu, nu, m, n, traceless) for mu, nu in PLANES]
        total = total + coefficient / (m * n) ** 2 * _density(fields)
    return total


def line(links: Tensor, mu: int, length: int) -> Tensor:
    """U_mu(x) U_mu(x+mu) ... of `length` links, [Nb,Nt,Nx,Ny,Nz,3,3]."""
    product = links[:, mu]
    for step in range(1, length):
        product = product @ shift(links[:, mu], mu, step)
    return product


def _density(fields: Sequence[Tensor]) -> Tensor:
    """(1/4 pi^2) tr(G_xy G_tz - G_xz G_ty + G_yz G_tx) from the G of PLANES."""
    tx, ty, tz, xy, xz, yz = fields
    pairs = _trace_product(xy, tz) - _trace_product(xz, ty) + _trace_product(yz, tx)
    return pairs / (4 * math.pi**2)


def _trace_product(left: Tensor, right: Tensor) -> Tensor:
    """tr(A B) of anti-Hermitian matrices, which is real."""
    return (left * right.transpose(-1, -2)).sum((-2, -1)).real


def _loop_field(
    lines: dict[tuple[int, int], Tensor], mu: int, nu: int, m: int, n: int, traceless: bool
) -> Tensor:
    """Anti-Hermitian part over 4 of the sum of the four m x n loops at x, both orientations."""
    clover = _clover(lines[mu, m], lines[nu, n], mu, nu, m, n)
    if m != n:
        clover = 0.5 * (clover + _clover(lines[mu, n], lines[nu, m], mu, nu, n, m))
    if traceless:
        return project_algebra(clover) / 4
    return (clover - clover.mH) / 8


def _clover(along: Tensor, across: Tensor, mu: int, nu: int, m: int, n: int) -> Tensor:
    """Sum of the four loops at x, m steps of mu by n of nu, all turning from mu to nu."""
    far, top = shift(across, mu, m), shift(along, nu, n)
    left, right = along @ far, across @ top  # the two ways from x to x + m mu + n nu
    down, back = far @ top.mH, across.mH @ along  # the upper right and the lower left corner
    second = shift(down @ back, mu, -m)
    third = shift(shift(right.mH @ left, mu, -m), nu, -n)
    fourth = shift(back @ down, nu, -n)
    return left @ right.mH + second + third + fourth
