"""Dense networks for SU(3) as in the slides: everything of one lattice seen at once.

    kick    (s, q, t) = PNet(U, F):       P' = P e^{h s} - h [F e^{2 h q} + t],   log|J| = sum 8 h s
    drift   (q, t) = UNet(U_B, P):        U_A' = exp(e [P_A e^{e q} + t]) U_A,    log|J| = 0

s and q are scalars per link, t lives in the algebra (eight components per link). There is no s_U of
this kind: a factor for each matrix element has no meaning on a group, and a scaling of log U is
singular where eigenvalues meet the cut. Its exact counterpart is the field transformation
(transformation.py), which goes around the trajectories of these networks, too. A and B are the
halves of a checkerboard of whole links. Dense networks fit the lattice they were made for and are
not gauge covariant; last layers start at zero.
"""

import torch
from torch import Tensor, nn

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.networks.parts import Mixing


class Dense(nn.Module):
    """tanh(W in + b) of the flattened lattice, one last layer per sub-step."""

    outputs = su3.DIMENSION  # numbers per link
    by_inputs = False

    def __init__(self, steps: int, shape: tuple[int, ...], hidden: int = 16, kind: str = "dense"):
        super().__init__()
        self.shape, self.hidden, self.kind = tuple(shape[:5]), int(hidden), kind
        if kind != "dense" or self.hidden < 1 or len(self.shape) != 5:
            raise ConfigError(f"kind, hidden: expected 'dense' and at least 1 on a lattice, found "
                              f"{kind!r}, {hidden} on {list(shape)}")
        links = torch.Size(self.shape).numel()
        self.inputs = links * (18 + su3.DIMENSION)
        self.first = nn.Linear(self.inputs, self.hidden, dtype=torch.float64)
        size = (steps, links * self.outputs)
        self.weight = nn.Parameter(torch.zeros(*size, self.hidden, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(*size, dtype=torch.float64))

    @property
    def fits(self) -> tuple[int, ...]:
        """[4, Nt, Nx, Ny, Nz] of the one lattice."""
        return self.shape

    def check(self, links: Tensor) -> None:
        """LayoutError unless the network fits the lattice of `links`."""
        if tuple(links.shape[1:6]) != self.shape:
            raise LayoutError(f"lattice {list(links.shape[2:6])}: expected {list(self.shape[1:])} "
                              "(t, x, y, z), the one this dense network was made for")

    def description(self) -> dict:
        """What `architecture.build` needs to make the same network again."""
        return {"kind": self.kind, "hidden": self.hidden, "shape": list(self.shape)}

    def units(self, links: Tensor, algebra: Tensor) -> Tensor:
        """Hidden activations [Nb, hidden] of links and an algebra field."""
        seen = [torch.view_as_real(links).flatten(1), su3.to_components(algebra).flatten(1)]
        return torch.tanh(self.first(torch.cat(seen, dim=1)))

    def read_out(self, k: int, hidden: Tensor) -> Tensor:
        """The numbers of sub-step k, [Nb, *shape, outputs]."""
        out = hidden @ self.weight[k].T + self.bias[k]
        return out.view(len(out), *self.shape, self.outputs)


class DenseKick(Dense):
    """PNet: (s, q, t) from the links and their force."""

    outputs = 2 + su3.DIMENSION

    def features(self, links: Tensor, force: Tensor, beta: float) -> tuple[Tensor]:
        """What the kicks at one field share."""
        return (self.units(links, force),)

    def forward(self, kick: int, step: Tensor, features: tuple[Tensor, ...]
                ) -> tuple[Tensor, Tensor, Tensor]:
        """(s, q [Nb,4,Nt,Nx,Ny,Nz], t like links) of kick number `kick`."""
        out = self.read_out(kick, features[0])
        return out[..., 0], out[..., 1], su3.from_components(out[..., 2:])


class DenseDrift(Dense):
    """UNet: (q, t) of one half of the links from the other half and the momenta."""

    outputs = 1 + su3.DIMENSION

    def first_half(self, links: Tensor) -> Tensor:
        """The links that move first: (mu + t + x + y + z) even, bool [4,Nt,Nx,Ny,Nz]."""
        axes = [torch.arange(n, device=links.device) for n in self.shape]
        return torch.stack(torch.meshgrid(*axes, indexing="ij")).sum(0) % 2 == 0

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None, beta: float) -> tuple[Tensor, Tensor]:
        """Lambda+ (sign 1) or its exact inverse (sign -1); log|J| = 0, [Nb]. Nothing is mixed."""
        first = self.first_half(links)
        for active in (first, ~first) if sign > 0 else (~first, first):
            active = active[..., None, None]
            frozen = torch.where(active, 0.0, links)
            out = self.read_out(drift, self.units(frozen, momenta))
            scale = torch.exp(step * out[..., 0])[..., None, None]
            velocity = momenta * scale + su3.from_components(out[..., 1:])
            moved = fast.expm_multiply(velocity, links, sign * step)
            links = torch.where(active, moved, links)
        return links, momenta.new_zeros(len(momenta)).real
