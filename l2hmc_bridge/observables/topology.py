"""Topological charge of SU(3) fields: the clover and the five-loop improved definition.

Q = -(1/4 pi^2) sum_x tr(G_xy G_zt - G_xz G_yt + G_yz G_xt), eps_xyzt = +1, G anti-Hermitian: the
sign of MILC, QUDA, QEX, Chroma, GPT and Grid; SIMULATeQCD's and openQCD's are opposite.
The clover definition is that of Nucl. Phys. B 192 (1981) 392.
"""

from torch import Tensor

from l2hmc_bridge import fast

CLOVER = ((1, 1, 1.0),)

# hep-lat/9701012 (de Forcrand, Garcia Perez, Stamatescu), eq. 9 with c5 = 1/20.
FIVE_LOOPS = (
    (1, 1, (19 - 55 / 20) / 9),
    (2, 2, (1 - 64 / 20) / 9),
    (1, 2, (-64 + 640 / 20) / 45),
    (1, 3, 1 / 5 - 2 / 20),
    (3, 3, 1 / 20),
)


FIVE_LOOP_SHAPES = tuple((m, n, coefficient / (m * n) ** 2) for m, n, coefficient in FIVE_LOOPS)


def charge_density(links: Tensor, traceless: bool = True) -> Tensor:
    """q(x) = (1/4 pi^2) tr(G_xy G_tz - G_xz G_ty + G_yz G_tx) from the clover, [Nb,Nt,Nx,Ny,Nz]."""
    return fast.charge_density(links, CLOVER, traceless)


def topological_charge(links: Tensor, traceless: bool = True) -> Tensor:
    """Q = sum_x q(x) from the clover, [Nb]."""
    return fast.clover(links, traceless)[:, 2]


def topological_charge_5li(links: Tensor, traceless: bool = True) -> Tensor:
    """Q = sum_i c_i Q(m_i x n_i) / (m_i n_i)^2 from clovers of 1x1, 2x2, 1x2, 1x3, 3x3 loops, [Nb].

    hep-lat/9701012; free of O(a^2) and O(a^4) errors for c5 = 1/20. A clover of m x n loops with
    m != n is the mean of its two orientations. Grid and GPT keep the trace.
    """
    return fast.charge(links, FIVE_LOOP_SHAPES, traceless)


def charge_density_5li(links: Tensor, traceless: bool = True) -> Tensor:
    """Charge density q(x) of the five-loop definition, [Nb,Nt,Nx,Ny,Nz]."""
    return fast.charge_density(links, FIVE_LOOP_SHAPES, traceless)
