"""Wilson quarks as one dense matrix over all sites, from the textbook formula, differentiable.

M(x, y) = (1 + i m gamma_5) delta_xy - kappa sum_mu [(1 - gamma_mu) U_mu(x) delta_{x+mu, y}
          + (1 + gamma_mu) U_mu(y)^+ delta_{x, y+mu}], minus signs across the end of time.
Rows are site (t, x, y, z), spin, colour. Shares nothing with the example that it tests.
"""

import itertools

import torch

PAULI = torch.tensor([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]],
                     dtype=torch.complex128)


def gammas() -> list[torch.Tensor]:
    """gamma_t, gamma_x, gamma_y, gamma_z in a chiral basis, and gamma_5 = diag(1, 1, -1, -1)."""
    def off_diagonal(block):
        matrix = torch.zeros(4, 4, dtype=torch.complex128)
        matrix[:2, 2:], matrix[2:, :2] = block, block.mH
        return matrix

    blocks = [torch.eye(2, dtype=torch.complex128), *(-1j * PAULI)]
    return [*map(off_diagonal, blocks),
            torch.diag(torch.tensor([1, 1, -1, -1], dtype=torch.complex128))]


def matrix(links: torch.Tensor, kappa: float, twist: float) -> torch.Tensor:
    """M of configurations [..., 4, Nt, Nx, Ny, Nz, 3, 3], [..., 12 V, 12 V]."""
    lattice = links.shape[-6:-2]
    *gamma, gamma5 = gammas()
    one, blocks = torch.eye(4, dtype=torch.complex128), {}
    number = {site: n for n, site in enumerate(itertools.product(*map(range, lattice)))}
    diagonal = _spin_colour(one + 1j * twist * gamma5, torch.eye(3, dtype=one.dtype))
    for n in number.values():
        blocks[n, n] = diagonal
    for site, n in number.items():
        for mu in range(4):
            there = list(site)
            there[mu] = (there[mu] + 1) % lattice[mu]
            sign = -1 if mu == 0 and site[0] == lattice[0] - 1 else 1
            link = links[(..., mu, *site, slice(None), slice(None))]
            m = number[tuple(there)]
            for key, block in (((n, m), _spin_colour(one - gamma[mu], link)),
                               ((m, n), _spin_colour(one + gamma[mu], link.mH))):
                blocks[key] = blocks.get(key, 0) - kappa * sign * block
    count, batch = len(number), links.shape[:-7]
    zero = torch.zeros(*batch, 12, 12, dtype=torch.complex128)
    rows = [torch.cat([blocks.get((n, m), zero).expand(*batch, 12, 12) for m in range(count)], -1)
            for n in range(count)]
    return torch.cat(rows, -2)


def _spin_colour(spin: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ab,...ij->...aibj", spin, colour).reshape(*colour.shape[:-2], 12, 12)


def parity_rows(lattice, parity: int) -> torch.Tensor:
    """Rows of the sites of one parity, in the order of sites."""
    own = [n for n, site in enumerate(itertools.product(*map(range, lattice)))
           if sum(site) % 2 == parity]
    return (12 * torch.tensor(own)[:, None] + torch.arange(12)).flatten()


def log_weight(links: torch.Tensor, kappa: float, twist: float) -> torch.Tensor:
    """log det(M^+ M) of configurations [Nb, 4, Nt, Nx, Ny, Nz, 3, 3], [Nb]."""
    return 2 * torch.linalg.slogdet(matrix(links, kappa, twist)).logabsdet


def preconditioned(whole: torch.Tensor, lattice) -> torch.Tensor:
    """M_oo - M_oe M_ee^-1 M_eo of a dense M."""
    even, odd = parity_rows(lattice, 0), parity_rows(lattice, 1)
    inner = torch.linalg.solve(whole[even][:, even], whole[even][:, odd])
    return whole[odd][:, odd] - whole[odd][:, even] @ inner
