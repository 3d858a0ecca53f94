"""Fields whose charge and flow are known in closed form, and the symmetries of the lattice."""

import math

import torch

from l2hmc_bridge.fields import su3
from l2hmc_bridge.systems.actions import cold_start

T, X, Y, Z = 0, 1, 2, 3


def coordinate(lattice, mu) -> torch.Tensor:
    """x_mu of every site, [Nt,Nx,Ny,Nz]."""
    shape = [1, 1, 1, 1]
    shape[mu] = lattice[mu]
    return torch.arange(lattice[mu], dtype=torch.float64).view(shape).expand(lattice)


def abelian(angles) -> torch.Tensor:
    """diag(e^ia, e^-ia, 1) from angles [4,Nt,Nx,Ny,Nz], links [1,4,...,3,3]."""
    phases = torch.stack([angles, -angles, torch.zeros_like(angles)], dim=-1)
    return torch.diag_embed(torch.polar(torch.ones_like(phases), phases))[None]


def constant_flux(lattice, first: int, second: int) -> torch.Tensor:
    """Constant plaquette angles 2 pi n / (area): n = first through (x,y), second through (z,t)."""
    angles = torch.zeros(4, *lattice, dtype=torch.float64)
    for mu, nu, flux in ((X, Y, first), (Z, T, second)):
        omega = 2 * math.pi * flux / (lattice[mu] * lattice[nu])
        along, across = coordinate(lattice, mu), coordinate(lattice, nu)
        angles[nu] += omega * along
        angles[mu] -= omega * lattice[mu] * across * (along == lattice[mu] - 1)
    return abelian(angles)


def plane_wave(lattice, momenta, amplitudes) -> torch.Tensor:
    """Abelian links exp(i eps_mu cos(k (x + mu/2))) with k_mu = 2 pi momenta_mu / L_mu."""
    k = [2 * math.pi * n / length for n, length in zip(momenta, lattice, strict=True)]
    phase = sum(k[mu] * coordinate(lattice, mu) for mu in range(4))
    return abelian(
        torch.stack([amplitudes[mu] * torch.cos(phase + k[mu] / 2) for mu in range(4)])
    )


def instanton(lattice, radius: float) -> torch.Tensor:
    """BPST instanton in singular gauge at the centre of the lattice, SU(2) in SU(3).

    A_mu = -etabar^a_mu_nu y_nu 2 rho^2 / (y^2 (y^2 + rho^2)) T_a; its direction in colour is
    constant along a link, so the path-ordered exponential is an exponential of
    integral 2/(s^2 + r^2) - 2/(s^2 + r^2 + rho^2) ds, an arctangent.
    """
    y = [coordinate(lattice, mu) - (lattice[mu] - 1) / 2 for mu in range(4)]
    links = cold_start(lattice)
    for mu in range(4):
        r2 = sum(y[nu] ** 2 for nu in range(4) if nu != mu)
        r, big = r2.sqrt(), (r2 + radius**2).sqrt()
        integral = sum(
            sign * 2 * (torch.atan(s / r) / r - torch.atan(s / big) / big)
            for sign, s in ((1, y[mu] + 1), (-1, y[mu]))
        )
        components = torch.zeros(*lattice, 8, dtype=torch.float64)
        for a, (i, j) in enumerate(((Y, Z), (Z, X), (X, Y))):
            eta = {(i, j): -1, (j, i): 1, (T, a + 1): -1, (a + 1, T): 1}
            components[..., a] = sum(
                eta.get((mu, nu), 0) * y[nu] for nu in range(4)
            ) * integral
        links[0, mu] = su3.exp(su3.from_components(components))
    return links


def permuted(links, order) -> torch.Tensor:
    """Axes relabelled: direction mu of the result is direction order[mu] of `links`."""
    sites = [2 + mu for mu in order]
    return links[:, list(order)].permute(0, 1, *sites, 6, 7).contiguous()


def reflected(links, mu) -> torch.Tensor:
    """x_mu -> -x_mu: U_mu'(x) = U_mu(-x - mu)^dagger, other links U_nu(-x)."""
    flipped = links.flip(2 + mu)  # at x: the field of L - 1 - x = -x - 1
    result = flipped.roll(1, 2 + mu)
    result[:, mu] = flipped[:, mu].mH
    return result
