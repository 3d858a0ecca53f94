"""The hot functions on the compiled kernels with analytic gradients, for training.

Gradients of links are those along the group: G = 2 g U with g_b the derivative along
exp(s T_b) U, and momenta get theirs within su(3). That is all that a chain of exp(P) U, forces and
loops can see; components off the group, which torch's own autograd also returns, are left out.
Each function may be differentiated once; ActionError asks for the reference if twice is wanted.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fast import reference
from l2hmc_bridge.fast.cpu import recorded
from l2hmc_bridge.fields.layout import volume

plaquettes = reference.plaquettes
staples = reference.staples
rectangle_staples = reference.rectangle_staples
charge_density = reference.charge_density
charge = reference.charge
flow = reference.flow


def action(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
    return recorded.Action.apply(links, float(beta), float(c1))


def force(links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
    """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
    return recorded.Force.apply(links, float(beta), float(c1))


def expm_multiply(momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
    """exp(step P) U for P in su(3), [..., 3, 3]."""
    return recorded.Exponential.apply(*torch.broadcast_tensors(step * momenta, links))


def trajectory(links: Tensor, momenta: Tensor, force_there: Tensor, beta: float, c1: float,
               kicks: Sequence[float], drifts: Sequence[float], displacements: Sequence[float]
               ) -> tuple[Tensor, Tensor, Tensor]:
    """(U', P', F(U')) after kick, drift, kick, ..."""
    return reference.leapfrogs(lambda at: force(at, beta, c1), expm_multiply, links, momenta,
                               force_there, kicks, drifts, displacements)


def kinetic(momenta: Tensor) -> Tensor:
    """K = -tr P^2 over everything but the batch, [Nb]."""
    return recorded.Kinetic.apply(momenta)


def staple_trace(links: Tensor) -> Tensor:
    """Re tr(U_mu A_mu) of each link, [Nb,4,Nt,Nx,Ny,Nz]."""
    return recorded.StapleTrace.apply(links)


def loop_square(links: Tensor) -> Tensor:
    """TA((U_mu A_mu)^2) / 36 with the plaquette staples A, like links."""
    return recorded.LoopSquare.apply(links)


def laplacian(links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
    """Covariant Laplacian of an algebra field, like links."""
    return recorded.Laplacian.apply(links, field, transverse, -1)


def frozen_features(links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
    """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu)."""
    return recorded.FrozenFeatures.apply(links, field, mu)


def transport_laplacian(links: Tensor, field: Tensor, mu: int) -> Tensor:
    """The transverse Laplacian of one direction, X_mu [Nb,Nt,Nx,Ny,Nz,3,3]."""
    return recorded.Laplacian.apply(links, field, True, mu)


def clover(links: Tensor, traceless: bool = True) -> Tensor:
    """(temporal energy, spatial energy) per site and charge from the clover, [Nb,3]."""
    sites = volume(links)
    scale = torch.tensor([sites, sites, 1], dtype=torch.float64)
    return recorded.Clover.apply(links, traceless) / scale
