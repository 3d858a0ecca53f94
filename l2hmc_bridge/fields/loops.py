"""Products of links along paths: plaquettes, rectangles, staples, field strength.

links [Nb,4,Nt,Nx,Ny,Nz,3,3], directions (t,x,y,z) = 0..3; a field of one direction, links[:, mu],
is [Nb,Nt,Nx,Ny,Nz,3,3]. A step of a path is mu + 1 forwards and -(mu + 1) backwards.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fields import part
from l2hmc_bridge.fields.su3 import product, project_algebra, trace
from l2hmc_bridge.fields.sums import exact_sum

PLANES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))  # (t,x) (t,y) (t,z) (x,y) (x,z) (y,z)


def shift(field: Tensor, mu: int, steps: int = 1) -> Tensor:
    """field(x + steps * mu) at x, periodic; site axes of `field` are 1..4."""
    return torch.roll(field, -steps, dims=1 + mu)


def path_product(links: Tensor, steps: Sequence[int], start: Sequence[int] = ()) -> Tensor:
    """Ordered product of links from x + start along `steps`, [Nb,Nt,Nx,Ny,Nz,3,3].

    `start` is a list of steps that lead from x to the first site without collecting links.
    """
    offset = [0, 0, 0, 0]
    for step in start:
        offset[abs(step) - 1] += 1 if step > 0 else -1
    factors: list[Tensor] = []
    for step in steps:
        mu = abs(step) - 1
        if step < 0:
            offset[mu] -= 1
        link = torch.roll(links[:, mu], [-n for n in offset], dims=(1, 2, 3, 4))
        if step < 0:
            link = link.mH
        else:
            offset[mu] += 1
        factors.append(link)
    return functools.reduce(product, factors)


def plaquette_field(links: Tensor, mu: int, nu: int) -> Tensor:
    """P_mu_nu(x) = U_mu(x) U_nu(x+mu) U_mu(x+nu)^dagger U_nu(x)^dagger."""
    return (links[:, mu] @ shift(links[:, nu], mu)) @ (
        links[:, nu] @ shift(links[:, mu], nu)
    ).mH


def rectangle_field(links: Tensor, mu: int, nu: int) -> Tensor:
    """Loop of two steps along mu, one along nu."""
    up, side = mu + 1, nu + 1
    return path_product(links, (up, up, side, -up, -up, -side))


def plaquettes(links: Tensor) -> Tensor:
    """Site average of Re tr P_mu_nu / 3 for each of PLANES, 1 on the unit field, [Nb,6]."""
    return torch.stack(
        [_site_mean(plaquette_field(links, mu, nu)) for mu, nu in PLANES], dim=1
    )


def rectangles(links: Tensor) -> Tensor:
    """Site average of Re tr R / 3 for the twelve (mu, nu), mu the long side, [Nb,4,4]."""
    result = torch.ones(links.shape[0], 4, 4, dtype=links.real.dtype, device=links.device)
    held = part.of(links)
    if held is not None:
        held.require(2)
    for mu in range(4):
        for nu in range(4):
            if mu != nu:
                result[:, mu, nu] = _site_mean(rectangle_field(links, mu, nu))
    return result


def link_trace(links: Tensor) -> Tensor:
    """(1 / 12 V) sum Re tr U over all links, 1 on the unit field, [Nb]."""
    diagonal = links.diagonal(dim1=-2, dim2=-1).real
    held = part.of(links)
    if held is not None:
        return exact_sum(held, diagonal) / (12 * held.volume)
    return diagonal.sum(tuple(range(1, diagonal.ndim))) / diagonal[0].numel()


def staples(links: Tensor) -> Tensor:
    """A_mu(x): sum of the six staples, so that the plaquettes through U are U_mu(x) A_mu(x).

    A_mu(x) = sum_nu U_nu(x+mu) U_mu(x+nu)^dagger U_nu(x)^dagger
            + U_nu(x+mu-nu)^dagger U_mu(x-nu)^dagger U_nu(x-nu); like links.
    """
    return torch.stack([staple_sum(links, mu) for mu in range(4)], dim=1)


def staple_sum(links: Tensor, mu: int) -> Tensor:
    """The staples of one direction, A_mu(x) as in `staples`, [Nb,Nt,Nx,Ny,Nz,3,3]."""
    total = torch.zeros_like(links[:, mu])
    for nu in range(4):
        if nu != mu:
            ahead = shift(links[:, nu], mu)
            total = total + ahead @ (links[:, nu] @ shift(links[:, mu], nu)).mH
            total = total + shift((links[:, mu] @ ahead).mH @ links[:, nu], nu, -1)
    return total


def rectangle_staples(links: Tensor) -> Tensor:
    """Sum of the eighteen five-link paths that close U_mu(x) to a 2x1 rectangle; like links."""
    result = []
    for mu in range(4):
        total = torch.zeros_like(links[:, mu])
        for nu in range(4):
            if nu == mu:
                continue
            for path in rectangle_paths(mu + 1, nu + 1) + rectangle_paths(mu + 1, -nu - 1):
                total = total + path_product(links, path, start=(mu + 1,))
        result.append(total)
    return torch.stack(result, dim=1)


def rectangle_paths(m: int, n: int) -> tuple[tuple[int, ...], ...]:
    """From x + mu back to x: link first, link last, long side along nu."""
    return ((m, n, -m, -m, -n), (n, -m, -m, -n, m), (n, n, -m, -n, -n))


def clover_sum(links: Tensor, mu: int, nu: int) -> Tensor:
    """C_mu_nu(x): sum of the four plaquettes at x, all turning from mu to nu."""
    m, n = mu + 1, nu + 1
    corners = ((m, n, -m, -n), (n, -m, -n, m), (-m, -n, m, n), (-n, m, n, -m))
    first, *others = (path_product(links, corner) for corner in corners)
    return sum(others, first)


def field_strength(links: Tensor, mu: int, nu: int, traceless: bool = True) -> Tensor:
    """Clover G_mu_nu(x) = (C - C^dagger) / 8, anti-Hermitian, [Nb,Nt,Nx,Ny,Nz,3,3].

    With `traceless` the trace is removed (MILC, QUDA, QEX); without, it is kept (GPT, Grid).
    """
    clover = clover_sum(links, mu, nu)
    if traceless:
        return project_algebra(clover) / 4
    return (clover - clover.mH) / 8


def line(links: Tensor, mu: int, length: int) -> Tensor:
    """U_mu(x) U_mu(x+mu) ... of `length` links, [Nb,Nt,Nx,Ny,Nz,3,3]."""
    product = links[:, mu]
    for step in range(1, length):
        product = product @ shift(links[:, mu], mu, step)
    return product


def wide_clover_sum(along: Tensor, across: Tensor, mu: int, nu: int, m: int, n: int) -> Tensor:
    """Sum of the four m x n loops at x, all turning from mu to nu, [Nb,Nt,Nx,Ny,Nz,3,3].

    `along` are the lines of m links in direction mu, `across` those of n links in direction nu.
    """
    far, top = shift(across, mu, m), shift(along, nu, n)
    left, right = along @ far, across @ top  # the two ways from x to x + m mu + n nu
    down, back = far @ top.mH, across.mH @ along  # the upper right and the lower left corner
    second = shift(down @ back, mu, -m)
    third = shift(shift(right.mH @ left, mu, -m), nu, -n)
    fourth = shift(back @ down, nu, -n)
    return left @ right.mH + second + third + fourth


def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """(Lap_mu X)(x) = sum over the three nu != mu of the parallel-transported neighbours - 6 X.

    U_nu(x) X(x+nu) U_nu(x)^dagger + U_nu(x-nu)^dagger X(x-nu) U_nu(x-nu) - 2 X(x): `field` is
    an algebra field of direction mu, [Nb,Nt,Nx,Ny,Nz,3,3]; no link of direction mu enters.
    """
    total = -6 * field
    for nu in range(4):
        if nu != mu:
            link = links[:, nu]
            total = total + link @ shift(field, nu) @ link.mH
            total = total + shift(link.mH @ field @ link, nu, -1)
    return total


def _site_mean(loop: Tensor) -> Tensor:
    held = part.current()
    if held is not None and loop.shape[1:5] == held.held:
        return exact_sum(held, trace(loop).real[:, None]) / (3 * held.volume)
    return trace(loop).real.flatten(1).mean(1) / 3
