"""The hot functions in torch: formulas, any device, autograd. See `fast/__init__.py`."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.fields.layout import volume


class Measured(NamedTuple):
    """What `plaquettes` and `clover` say of a field."""

    planes: Tensor  # [Nb,6]
    clover: Tensor  # [Nb,3]


class Ends(NamedTuple):
    """Where a trajectory leads; S there and K' - K, each [Nb], from who has them at hand."""

    links: Tensor
    momenta: Tensor
    force: Tensor
    action: Tensor | None = None
    delta_kinetic: Tensor | None = None


def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], c0 = 1 - 8 c1, [Nb]."""
    total = (1 - 8 * c1) * loops.plaquettes(links).sum(1)
    if c1 != 0:
        total = total + c1 * (loops.rectangles(links).sum((1, 2)) - 4)  # minus the unit diagonal
    return -beta * volume(links) * total


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    paths = (1 - 8 * c1) * loops.staples(links)
    if c1 != 0:
        paths = paths + c1 * loops.rectangle_staples(links)
    return (beta / 6) * su3.project_algebra(links @ paths)


def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U, [..., 3, 3]."""
    return su3.exp(step * momenta) @ links


def kinetic(momenta: Tensor) -> Tensor:
    """K = -tr P^2 over everything but the batch, [Nb]."""
    return su3.kinetic(momenta)


def plaquettes(links: Tensor) -> Tensor:
    """Site average of Re tr P / 3 of the planes tx, ty, tz, xy, xz, yz, [Nb,6]."""
    return loops.plaquettes(links)


def staples(links: Tensor) -> Tensor:
    """A_mu: sum of the six staples that close U_mu to plaquettes; like links."""
    return loops.staples(links)


def rectangle_staples(links: Tensor) -> Tensor:
    """A^rect_mu: sum of the eighteen paths that close U_mu to rectangles; like links."""
    return loops.rectangle_staples(links)


def staple_trace(links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, 18 on the unit field, [Nb,4,Nt,Nx,Ny,Nz]."""
    return (links * loops.staples(links).transpose(-1, -2)).sum((-2, -1)).real


def loop_square(links: Tensor) -> Tensor:
    """TA((U_mu A_mu)^2) / 36 with the plaquette staples A, like links."""
    loop = links @ loops.staples(links)
    return su3.project_algebra(loop @ loop) / 36


def laplacian(links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
    """Covariant Laplacian of an algebra field over the four directions, like links.

    Sum over nu of U_nu X(x+nu) U_nu^dagger + U_nu(x-nu)^dagger X(x-nu) U_nu(x-nu) - 2 X for each
    X_mu; `transverse` leaves nu = mu out, so that no link of direction mu enters.
    """
    if transverse:
        return torch.stack(
            [loops.transport_laplacian(links, field[:, mu], mu) for mu in range(4)], dim=1
        )
    total = -8 * field
    for nu in range(4):
        link = links[:, nu, None]
        total = total + link @ torch.roll(field, -1, dims=2 + nu) @ link.mH
        total = total + torch.roll(link.mH @ field @ link, 1, dims=2 + nu)
    return total


def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """The transverse Laplacian of one direction, X_mu [Nb,Nt,Nx,Ny,Nz,3,3]."""
    return loops.transport_laplacian(links, field, mu)


def frozen_features(links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
    """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu)."""
    square = torch.view_as_real(loops.staple_sum(links, mu)).square().sum((-1, -2, -3))
    return square, transport_laplacian(links, field, mu)


def clover(links: Tensor, traceless: bool = True) -> Tensor:
    """(temporal energy, spatial energy) per site and charge from the clover G, [Nb,3].

    E = -sum_{mu<nu} tr G G, Q = (1/4 pi^2) sum_x tr(G_xy G_tz - G_xz G_ty + G_yz G_tx).
    """
    tx, ty, tz, xy, xz, yz = (
        loops.field_strength(links, mu, nu, traceless) for mu, nu in loops.PLANES
    )
    temporal = _trace_sum(tx, tx) + _trace_sum(ty, ty) + _trace_sum(tz, tz)
    spatial = _trace_sum(xy, xy) + _trace_sum(xz, xz) + _trace_sum(yz, yz)
    charge = _trace_sum(xy, tz) - _trace_sum(xz, ty) + _trace_sum(yz, tx)
    sites = volume(links)
    return torch.stack(
        [-temporal / sites, -spatial / sites, charge / (4 * torch.pi**2)], dim=1
    )


def measured(links: Tensor, traceless: bool = True) -> Measured:
    """`plaquettes` and `clover` of a field."""
    return Measured(plaquettes(links), clover(links, traceless))


def charge_density(links: Tensor, shapes: Sequence[tuple[int, int, float]],
                   traceless: bool = True) -> Tensor:
    """q(x) = sum over (m, n, weight) of weight q(x) from clovers of m x n loops, [Nb,Nt,Nx,Ny,Nz].

    For m != n the clover is the mean of both orientations. G = (C - C^dagger) / 8, its trace
    removed where asked; q = (1/4 pi^2) tr(G_xy G_tz - G_xz G_ty + G_yz G_tx).
    """
    lengths = sorted({side for m, n, _ in shapes for side in (m, n)})
    lines = {(mu, k): loops.line(links, mu, k) for mu in range(4) for k in lengths}
    total = links.new_zeros(()).real
    for m, n, weight in shapes:
        tx, ty, tz, xy, xz, yz = (
            _wide_field_strength(lines, mu, nu, m, n, traceless) for mu, nu in loops.PLANES
        )
        charge = _trace_product(xy, tz) - _trace_product(xz, ty) + _trace_product(yz, tx)
        total = total + weight / (4 * torch.pi**2) * charge
    return total


def charge(links: Tensor, shapes: Sequence[tuple[int, int, float]], traceless: bool = True
           ) -> Tensor:
    """Q = sum_x q(x) of `charge_density`, [Nb]."""
    return charge_density(links, shapes, traceless).flatten(1).sum(1)


def flow(links: Tensor, step: float, steps: int = 1, c1: float = 0.0) -> Tensor:
    """`steps` steps of Luescher's third-order scheme (1006.4518, eq. C.2) of size `step`.

    dU/dt = Z U with Z = -F at beta = 6: the Wilson flow, or another c1.
    """
    return flow_with(force, expm_multiply, links, step, steps, c1)


def flow_measured(links: Tensor, legs: Sequence[tuple[float, int]], c1: float = 0.0,
                  traceless: bool = True) -> list[Measured]:
    """`measured` after each of the `legs`, (step, steps), of `flow`."""
    return flow_measured_with(flow, measured, links, legs, c1, traceless)


def flow_measured_with(flow, measured, links: Tensor, legs: Sequence[tuple[float, int]], c1: float,
                       traceless: bool) -> list[Measured]:
    """`flow_measured` made of any backend's `flow` and `measured`."""
    found = []
    for step, steps in legs:
        if steps:
            links = flow(links, step, steps, c1)
        found.append(measured(links, traceless))
    return found


def flow_with(force, expm_multiply, links: Tensor, step: float, steps: int, c1: float) -> Tensor:
    """`flow` made of any backend's `force` and `expm_multiply`."""
    for _ in range(steps):
        links = expm_multiply(first := force(links, 6.0, c1), links, -step / 4)
        second = (8 / 9) * force(links, 6.0, c1) - (17 / 36) * first
        links = expm_multiply(second, links, -step)
        third = 0.75 * force(links, 6.0, c1) - second
        links = expm_multiply(third, links, -step)
    return links


def trajectory(links: Tensor, momenta: Tensor, force_there: Tensor, beta: float, c1: float,
               kicks: Sequence[float], drifts: Sequence[float], displacements: Sequence[float]
               ) -> tuple[Tensor, Tensor, Tensor]:
    """(U', P', F(U')) after kick, drift, kick, ...: `leapfrogs` with the force of (beta, c1)."""
    return leapfrogs(lambda at: force(at, beta, c1), expm_multiply, links, momenta, force_there,
                     kicks, drifts, displacements)


def leapfrogs(force_of: Callable[[Tensor], Tensor], drift: Callable[..., Tensor], links: Tensor,
              momenta: Tensor, force: Tensor, kicks: Sequence[float], drifts: Sequence[float],
              displacements: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """P' = P - h F(exp(-g F) U), U' = drift(P, U, e) in turn, one kick more than drifts.

    `force` is that at `links`; one force per distinct field. drift(P, U, e) moves U by exp(e P).
    """
    for n, (kick, displacement) in enumerate(zip(kicks, displacements, strict=True)):
        if n > 0:
            links = drift(momenta, links, drifts[n - 1])
            force = force_of(links)
        push = force
        if displacement != 0.0:
            push = force_of(drift(force, links, -displacement))
        momenta = momenta - kick * push
    return links, momenta, force


def _trace_sum(left: Tensor, right: Tensor) -> Tensor:
    """Sum of tr(A B) over sites, real for anti-Hermitian matrices, [Nb]."""
    return _trace_product(left, right).flatten(1).sum(1)


def _trace_product(left: Tensor, right: Tensor) -> Tensor:
    """tr(A B) of anti-Hermitian matrices, which is real, [Nb,Nt,Nx,Ny,Nz]."""
    return (left * right.transpose(-1, -2)).sum((-2, -1)).real


def _wide_field_strength(lines: dict[tuple[int, int], Tensor], mu: int, nu: int, m: int, n: int,
                         traceless: bool) -> Tensor:
    """Anti-Hermitian part over 4 of the clover of m x n loops, the mean of both orientations."""
    clover = loops.wide_clover_sum(lines[mu, m], lines[nu, n], mu, nu, m, n)
    if m != n:
        other = loops.wide_clover_sum(lines[mu, n], lines[nu, m], mu, nu, n, m)
        clover = 0.5 * (clover + other)
    if traceless:
        return su3.project_algebra(clover) / 4
    return (clover - clover.mH) / 8
