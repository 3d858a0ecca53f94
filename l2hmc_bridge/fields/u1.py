"""Two-dimensional U(1): angles, plaquettes, charges, and the update of the learned drift.

`angles` are [Nb, 2, Nt, Nx], float64 in [-pi, pi), direction 0 in time; periodic boundaries. The
plaquette runs around t first, then x: x_P(n) = x_0(n) + x_1(n + t) - x_0(n + x) - x_1(n). Momenta
are real with the same shape, v ~ N(0, 1), K = sum v^2 / 2. The invertible update is

    x' = 2 atan(e^{e s} tan(x / 2)) + e (v e^{e q} + t),
    log|J| = sum [e s - log(cos^2(x/2) + e^{2 e s} sin^2(x/2))]

on the active half; x in [-pi, pi). The inverse removes the shift first and scales back after.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge.errors import LayoutError


def wrap(angles: Tensor) -> Tensor:
    """The same angles in [-pi, pi)."""
    wrapped = torch.remainder(angles + math.pi, 2 * math.pi) - math.pi
    return torch.where(wrapped < math.pi, wrapped, -math.pi)  # rounding can reach pi itself


def check_angles(angles: Tensor) -> None:
    """Raise LayoutError unless `angles` is real [Nb, 2, Nt, Nx] with extents of at least 2."""
    if not isinstance(angles, Tensor):
        raise LayoutError(f"angles: expected a torch tensor, found {type(angles).__name__}")
    if angles.ndim != 4 or angles.shape[1] != 2 or min(angles.shape[2:]) < 2:
        raise LayoutError(f"angles: expected [Nb,2,Nt,Nx] with Nt, Nx >= 2, found "
                          f"{list(angles.shape)}")
    if not angles.is_floating_point():
        raise LayoutError(f"angles: expected real numbers, found {angles.dtype}")


def cold_start(lattice: tuple[int, int], chains: int = 1) -> Tensor:
    """All angles zero on (Nt, Nx), [chains, 2, Nt, Nx]."""
    return torch.zeros(chains, 2, *lattice, dtype=torch.float64)


def hot_start(lattice: tuple[int, int], generator: torch.Generator, chains: int = 1) -> Tensor:
    """Angles uniform in [-pi, pi) on (Nt, Nx), [chains, 2, Nt, Nx]."""
    uniform = torch.rand(chains, 2, *lattice, generator=generator, dtype=torch.float64,
                         device=generator.device)
    return wrap(2 * math.pi * uniform - math.pi)


def instanton(lattice: tuple[int, int], charge: int = 1) -> Tensor:
    """Angles with x_P = 2 pi charge / V on every plaquette of (Nt, Nx), [1, 2, Nt, Nx].

    topological_charge = +charge while |2 charge| < V; added to a field, it shifts every plaquette.
    """
    nt, nx = lattice
    field = 2 * math.pi * charge / (nt * nx)
    angles = cold_start(lattice)
    angles[0, 1] = field * torch.arange(nt, dtype=torch.float64)[:, None]
    angles[0, 0, -1] = -field * nt * torch.arange(nx, dtype=torch.float64)
    return wrap(angles)


def random_momenta(shape: tuple[int, ...], generator: torch.Generator,
                   device: torch.device | None = None) -> Tensor:
    """v ~ N(0, 1), float64 [*shape], drawn on the generator's device and moved to `device`."""
    drawn = torch.randn(*shape, generator=generator, dtype=torch.float64, device=generator.device)
    return drawn.to(device or generator.device)


def kinetic(momenta: Tensor) -> Tensor:
    """K = sum v^2 / 2 over everything but the batch, [Nb]."""
    return 0.5 * momenta.square().flatten(1).sum(1)


def free_drift(momenta: Tensor, angles: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """x' = x + step v in [-pi, pi)."""
    return wrap(angles + step * momenta)


def plaquette_angles(angles: Tensor) -> Tensor:
    """x_P(n) = x_0(n) + x_1(n + t) - x_0(n + x) - x_1(n), not wrapped, [Nb, Nt, Nx]."""
    time, space = angles[:, 0], angles[:, 1]
    return time - torch.roll(time, -1, dims=2) + torch.roll(space, -1, dims=1) - space


def curl(field: Tensor) -> Tensor:
    """sum_P y_P dx_P/dx_mu(n) of a plaquette field y [Nb, Nt, Nx], [Nb, 2, Nt, Nx].

    mu = 0: y(n) - y(n - x); mu = 1: y(n - t) - y(n).
    """
    return torch.stack([field - torch.roll(field, 1, dims=2),
                        torch.roll(field, 1, dims=1) - field], dim=1)


def plaquette(angles: Tensor) -> Tensor:
    """(1/V) sum cos x_P, [Nb]; 1 on the unit field, I1(beta)/I0(beta) in infinite volume."""
    return torch.cos(plaquette_angles(angles)).mean((1, 2))


def topological_charge(angles: Tensor) -> Tensor:
    """Q = (1/2 pi) sum wrap(x_P), whole numbers in float64, [Nb].

    Positive for `instanton` of positive charge; odd under x -> -x; its gradient is zero.
    """
    return torch.round(wrap(plaquette_angles(angles)).sum((1, 2)) / (2 * math.pi))


def smooth_charge(angles: Tensor) -> Tensor:
    """(1/2 pi) sum sin x_P, [Nb]: same sign as Q, differentiable, no whole number.

    V sin(2 pi q / V) / 2 pi on `instanton` of charge q.
    """
    return torch.sin(plaquette_angles(angles)).sum((1, 2)) / (2 * math.pi)


MEASUREMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plaquette": plaquette,
    "topological_charge": topological_charge,
    "smooth_charge": smooth_charge,
}


def scale(angles: Tensor, exponent: Tensor) -> tuple[Tensor, Tensor]:
    """(2 atan(e^a tan(x/2)), log dx'/dx = a - log(cos^2(x/2) + e^{2a} sin^2(x/2))), a = e s."""
    sine, cosine = torch.sin(angles / 2), torch.cos(angles / 2)
    moved = 2 * torch.atan2(torch.exp(exponent) * sine, cosine)
    return wrap(moved), exponent - torch.log(cosine**2 + torch.exp(2 * exponent) * sine**2)


def drift(angles: Tensor, exponent: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Lambda+: scale by a = e s, then shift by c = e (v e^{e q} + t); (x', log dx'/dx)."""
    moved, log_det = scale(angles, exponent)
    return wrap(moved + shift), log_det


def drift_back(angles: Tensor, exponent: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Lambda-, the exact inverse of `drift`: 2 atan(e^{-a} tan((x' - c)/2)); (x, log dx/dx')."""
    return scale(wrap(angles - shift), -exponent)
