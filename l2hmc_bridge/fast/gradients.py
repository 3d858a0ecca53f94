"""The hot functions on kernels with analytic gradients, for training.

Gradients of links are those along the group: G = 2 g U with g_b the derivative along
exp(s T_b) U, and momenta get theirs within su(3). That is all that a chain of exp(P) U, forces and
loops can see; components off the group, which torch's own autograd also returns, are left out.
Each function may be differentiated once; ActionError asks for the reference if twice is wanted, as
do transforms of torch.func.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from l2hmc_bridge.fast import recorded, reference
from l2hmc_bridge.fields.layout import volume


class Gradients:
    """The functions of `reference.py` by the kernels of one sort of processor.

    The reference serves what the kernels do not, and whatever they are not trusted with.
    """

    plaquettes = staticmethod(reference.plaquettes)
    staples = staticmethod(reference.staples)
    rectangle_staples = staticmethod(reference.rectangle_staples)
    charge_density = staticmethod(reference.charge_density)
    charge = staticmethod(reference.charge)

    def __init__(self, kernels: recorded.Kernels):
        self.kernels = kernels

    def action(self, links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
        """S = -(beta/3) [c0 sum Re tr P + c1 sum Re tr R], [Nb]."""
        if not self.kernels.trusts("action", links):
            return reference.action(links, beta, c1)
        return recorded.Action.apply(self.kernels, links, float(beta), float(c1))

    def force(self, links: Tensor, beta: float, c1: float = 0.0) -> Tensor:
        """F_mu = (beta/6) TA(U_mu [c0 A_mu + c1 A^rect_mu]), like links."""
        if not self.kernels.trusts("force", links):
            return reference.force(links, beta, c1)
        return recorded.Force.apply(self.kernels, links, float(beta), float(c1))

    def expm_multiply(self, momenta: Tensor, links: Tensor, step: float | Tensor = 1.0) -> Tensor:
        """exp(step P) U for P in su(3), [..., 3, 3]."""
        if not self.kernels.trusts("expm_multiply", links):
            return reference.expm_multiply(momenta, links, step)
        if isinstance(step, Tensor):  # which may have a gradient, too
            momenta, step = step * momenta, 1.0
        return recorded.Exponential.apply(self.kernels, *torch.broadcast_tensors(momenta, links),
                                          float(step))

    def flow(self, links: Tensor, step: float, steps: int = 1, c1: float = 0.0) -> Tensor:
        """`steps` steps of Luescher's third-order scheme (1006.4518, eq. C.2) of size `step`."""
        return reference.flow_with(self.force, self.expm_multiply, links, step, steps, c1)

    def trajectory(self, links: Tensor, momenta: Tensor, force_there: Tensor, beta: float,
                   c1: float, kicks: Sequence[float], drifts: Sequence[float],
                   displacements: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
        """(U', P', F(U')) after kick, drift, kick, ..."""
        return reference.leapfrogs(lambda at: self.force(at, beta, c1), self.expm_multiply, links,
                                   momenta, force_there, kicks, drifts, displacements)

    def kinetic(self, momenta: Tensor) -> Tensor:
        """K = -tr P^2 over everything but the batch, [Nb]."""
        if not self.kernels.trusts("kinetic", momenta):
            return reference.kinetic(momenta)
        return recorded.Kinetic.apply(self.kernels, momenta)

    def staple_trace(self, links: Tensor) -> Tensor:
        """Re tr(U_mu A_mu) of each link, [Nb,4,Nt,Nx,Ny,Nz]."""
        if not self.kernels.trusts("staple_trace", links):
            return reference.staple_trace(links)
        return recorded.StapleTrace.apply(self.kernels, links)

    def loop_square(self, links: Tensor) -> Tensor:
        """TA((U_mu A_mu)^2) / 36 with the plaquette staples A, like links."""
        if not self.kernels.trusts("loop_square", links):
            return reference.loop_square(links)
        return recorded.LoopSquare.apply(self.kernels, links)

    def laplacian(self, links: Tensor, field: Tensor, transverse: bool = False) -> Tensor:
        """Covariant Laplacian of an algebra field, like links."""
        if not self.kernels.trusts("laplacian", links):
            return reference.laplacian(links, field, transverse)
        return recorded.Laplacian.apply(self.kernels, links, field, transverse, -1)

    def frozen_features(self, links: Tensor, field: Tensor, mu: int) -> tuple[Tensor, Tensor]:
        """(tr(A_mu A_mu^dagger) of the plaquette staples, `transport_laplacian` of X_mu)."""
        if not self.kernels.trusts("frozen_features", links):
            return reference.frozen_features(links, field, mu)
        return recorded.FrozenFeatures.apply(self.kernels, links, field, mu)

    def transport_laplacian(self, links: Tensor, field: Tensor, mu: int) -> Tensor:
        """The transverse Laplacian of one direction, X_mu [Nb,Nt,Nx,Ny,Nz,3,3]."""
        if not self.kernels.trusts("transport_laplacian", links):
            return reference.transport_laplacian(links, field, mu)
        return recorded.Laplacian.apply(self.kernels, links, field, True, mu)

    def clover(self, links: Tensor, traceless: bool = True) -> Tensor:
        """(temporal energy, spatial energy) per site and charge from the clover, [Nb,3]."""
        if not self.kernels.trusts("clover", links):
            return reference.clover(links, traceless)
        sums = recorded.Clover.apply(self.kernels, links, traceless)
        return torch.cat([sums[:, :2] / volume(links), sums[:, 2:]], 1)
