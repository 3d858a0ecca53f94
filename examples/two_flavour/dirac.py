"""Wilson quarks with an even-odd preconditioned operator, many chains at once.

    M = 1 - kappa H + i m gamma_5,   m = 2 kappa mu,
    H psi(x) = sum_mu (1 - gamma_mu) U_mu(x) psi(x+mu) + (1 + gamma_mu) U_mu(x-mu)^+ psi(x-mu),

antiperiodic in time (a sign on a copy of the links, never on the links of a stream). With
A = 1 + i m gamma_5 on the diagonal, det M = det A_ee det Mhat,

    Mhat = A - kappa^2 H_oe A^-1 H_eo on odd sites, and Mhat(m)^+ = gamma_5 Mhat(-m) gamma_5.

A quark field of one parity is [spin 4, colour 3, sites V/2, chains]. gamma_5 = diag(1, 1, -1, -1),
gamma_mu has blocks s_mu and s_mu^+ off the diagonal: (1 -+ gamma_mu) psi has two independent spins,
h = a -+ s b of psi = (a, b), and is (h, -+ s^+ h).
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

# s_mu b = (c_0 b[p_0], c_1 b[p_1]) for mu = t, x, y, z: (p_0, p_1), (c_0, c_1).
SPIN = (((0, 1), (1, 1)), ((1, 0), (-1j, -1j)), ((1, 0), (-1, 1)), ((0, 1), (-1j, 1j)))
EVEN, ODD = 0, 1
HOPS = tuple((mu, ahead) for mu in range(4) for ahead in (True, False))


class Quark(NamedTuple):
    """kappa, and m = 2 kappa mu of a twisted mass (0: plain Wilson)."""

    kappa: float
    twist: float = 0.0


class Sites(NamedTuple):
    """Numbers of the sites of one parity and of their neighbours."""

    own: Tensor  # [V/2] in the order t, x, y, z of a lattice
    behind: Tensor  # [4, V/2] x - mu, in the same order
    neighbours: Tensor  # [8, 6 V/2] rows of half spinors of the other parity, HOPS in turn


@functools.lru_cache(maxsize=8)
def sites(lattice: tuple[int, int, int, int]) -> tuple[Sites, Sites]:
    """Even and odd sites of (Nt, Nx, Ny, Nz); ValueError for an odd extent."""
    if any(extent % 2 for extent in lattice):
        raise ValueError(f"lattice: expected even extents for even-odd quarks, found {lattice}")
    number = torch.arange(torch.Size(lattice).numel()).view(lattice)
    parity = sum(torch.meshgrid(*map(torch.arange, lattice), indexing="ij")) % 2
    lists = [number[parity == one] for one in (EVEN, ODD)]
    place = torch.empty(number.numel(), dtype=torch.long)
    for one in lists:
        place[one] = torch.arange(len(one))
    found = []
    for own in lists:
        ahead, behind = ([number.roll(step, mu).flatten()[own] for mu in range(4)]
                         for step in (-1, 1))
        hops = torch.stack([(ahead if forward else behind)[mu] for mu, forward in HOPS])
        rows = torch.arange(6)[:, None] * len(own) + place[hops][:, None]
        found.append(Sites(own, torch.stack(behind), rows.flatten(1)))
    return tuple(found)


class Links:
    """The links as quarks see them: gathered for each hop, antiperiodic in time."""

    def __init__(self, links: Tensor):
        self.lattice, self.chains = tuple(links.shape[2:6]), len(links)
        self.sites = sites(self.lattice)
        signed = links.clone()
        signed[:, 0, -1] *= -1
        plain = signed.permute(1, 6, 7, 2, 3, 4, 5, 0).reshape(4, 3, 3, -1, self.chains)
        self.hops = []  # by parity of the site where a hop ends, [8, 3, 3, V/2, Nb]
        for own, behind, _ in self.sites:
            back = plain.transpose(1, 2)
            self.hops.append(torch.stack([
                plain[mu][:, :, own] if ahead else back[mu][:, :, behind[mu]].conj()
                for mu, ahead in HOPS]))

    def hop(self, field: Tensor, parity: int) -> Tensor:
        """H field, from the other parity to sites of `parity`."""
        moved = torch.zeros_like(field)
        for number, (mu, ahead) in enumerate(HOPS):
            half = self.fetch(project(field, mu, ahead), number, parity)
            link = self.hops[parity][number]
            half = colour(link, half)
            (p0, p1), (c0, c1) = SPIN[mu]
            sign = -1 if ahead else 1
            moved[:2] += half
            moved[2 + p0].add_(half[0], alpha=sign * complex(c0).conjugate())
            moved[2 + p1].add_(half[1], alpha=sign * complex(c1).conjugate())
        return moved

    def fetch(self, half: Tensor, hop: int, parity: int) -> Tensor:
        """A half spinor field at the sites that this hop to sites of `parity` comes from."""
        rows = half.reshape(-1, self.chains)
        return rows.index_select(0, self.sites[parity].neighbours[hop]).view(half.shape)


def project(field: Tensor, mu: int, ahead: bool) -> Tensor:
    """h = a - s_mu b (ahead: 1 - gamma_mu) or a + s_mu b of (a, b), [2, 3, ...]."""
    (p0, p1), (c0, c1) = SPIN[mu]
    sign = -1 if ahead else 1
    half = torch.empty_like(field[:2])
    torch.add(field[0], field[2 + p0], alpha=sign * c0, out=half[0])
    torch.add(field[1], field[2 + p1], alpha=sign * c1, out=half[1])
    return half


def colour(link: Tensor, half: Tensor) -> Tensor:
    """U h at every site: [3, 3, ...], [2, 3, ...] -> [2, 3, ...]."""
    product = link[:, 0] * half[:, 0, None]
    product.addcmul_(link[:, 1], half[:, 1, None])
    return product.addcmul_(link[:, 2], half[:, 2, None])


def gamma5(field: Tensor) -> Tensor:
    """diag(1, 1, -1, -1) on spins."""
    return torch.cat([field[:2], -field[2:]])


class Dirac:
    """Mhat of one quark at given links."""

    def __init__(self, links: Links, quark: Quark):
        self.links, self.quark = links, quark
        upper = torch.tensor(1 + 1j * quark.twist, dtype=torch.complex128)
        self.diagonal = torch.stack([upper, upper, upper.conj(), upper.conj()]).view(4, 1, 1, 1)
        self.inverse = 1 / self.diagonal

    def apply(self, odd: Tensor) -> Tensor:
        """Mhat psi."""
        return self._apply(odd, self.diagonal, self.inverse)

    def adjoint(self, odd: Tensor) -> Tensor:
        """Mhat^+ psi."""
        turned = self._apply(gamma5(odd), self.diagonal.conj(), self.inverse.conj())
        turned[2:].neg_()
        return turned

    def normal(self, odd: Tensor) -> Tensor:
        """Mhat Mhat^+ psi."""
        return self.apply(self.adjoint(odd))

    def even(self, odd: Tensor) -> Tensor:
        """A^-1 H_eo psi."""
        return self.links.hop(odd, EVEN) * self.inverse

    def adjoint_even(self, odd: Tensor) -> Tensor:
        """A^-1^+ H_oe^+ psi, what stands on even sites to the left of a hop."""
        return gamma5(self.links.hop(gamma5(odd), EVEN) * self.inverse.conj())

    def _apply(self, odd: Tensor, diagonal: Tensor, inverse: Tensor) -> Tensor:
        inner = self.links.hop(odd, EVEN).mul_(inverse)
        hopped = self.links.hop(inner, ODD)
        return torch.mul(odd, diagonal).sub_(hopped, alpha=self.quark.kappa**2)
