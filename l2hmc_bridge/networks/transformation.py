"""s_U on a group: the covariant field transformation F of the links, with its exact log|J|.

One link subset (direction x parity, eight in all) after the other moves as

    U_A' = exp(-rho TA(U_A A)) U_A,    rho = bound tanh(w . h(frozen invariants) + b)

with A the plaquette staples, all of frozen links; the formulas, the 8 x 8 Jacobian of each link
and the inverse are those of fast/smearing.py. rho > 0 smooths; last layers at zero are rho = 0, the
identity.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.fast import transformation
from l2hmc_bridge.fast.smearing import Rules
from l2hmc_bridge.fields.part import lattice_of
from l2hmc_bridge.networks.covariant import known_activation

LARGEST = 0.125  # |rho| below it leaves the map invertible on every field


class FieldTransformation(nn.Module):
    """F: `sweeps` times over the eight subsets, each sweep with its own rho.

    hidden = 0: rho is a constant, b alone. Else h are `hidden` units `activation(first layer)` of
    tr(A A^dagger)/36 and beta - 6, which no moving link enters: covariant under gauge
    transformations and translations by two sites. Raises ConfigError.
    """

    kind, by_inputs, fits, inputs = "covariant", False, None, 2

    def __init__(self, sweeps: int = 1, hidden: int = 0, bound: float = 0.12,
                 activation: str = "isru"):
        super().__init__()
        if sweeps < 1 or hidden < 0 or not 0 < bound < LARGEST:
            raise ConfigError(f"transformation: expected sweeps >= 1, hidden >= 0, 0 < bound < "
                              f"{LARGEST}, found {sweeps}, {hidden}, {bound}")
        self.sweeps, self.hidden, self.bound = int(sweeps), int(hidden), float(bound)
        self.activation = known_activation(activation)
        self.first: nn.Module = (nn.Linear(self.inputs, hidden, dtype=torch.float64) if hidden
                                 else nn.Identity())
        self.weight = nn.Parameter(torch.zeros(sweeps, hidden, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(sweeps, dtype=torch.float64))

    @classmethod
    def constant(cls, rho: float, sweeps: int = 1) -> "FieldTransformation":
        """The one with the same rho for every link; ConfigError unless |rho| is below 0.12."""
        made = cls(sweeps)
        made.start_at(rho)
        return made

    def start_at(self, rho: float) -> None:
        """Set the constant part b of every sweep to what gives `rho` alone; ConfigError."""
        if not abs(rho) < self.bound:
            raise ConfigError(f"rho: expected a number within +-{self.bound:g}, found {rho}")
        with torch.no_grad():
            self.bias.fill_(math.atanh(rho / self.bound))

    def check(self, links: Tensor) -> None:
        """LayoutError where the parity masks do not fit an odd extent."""
        nt, nx, ny, nz = lattice_of(links)
        if any(n % 2 for n in (nt, nx, ny, nz)):
            raise LayoutError(f"lattice {nx},{ny},{nz},{nt}: expected even extents for the parity "
                              "masks of the field transformation, found an odd one")

    def description(self) -> dict[str, Any]:
        """What `architecture.build` needs to make the same network again."""
        return {"sweeps": self.sweeps, "hidden": self.hidden, "bound": self.bound,
                "activation": self.activation}

    def rules(self, beta: float) -> Rules:
        """What rho is at this coupling."""
        if isinstance(self.first, nn.Linear):
            slopes = self.first.weight[:, 0]
            offsets = self.first.weight[:, 1] * (beta - 6) + self.first.bias
        else:
            slopes = offsets = self.bias.new_zeros(0)
        return Rules(self.bound, self.activation, slopes, offsets, self.weight, self.bias)

    def forward(self, links: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """(F(V), log|J|) of links V, like links and [Nb]."""
        return transformation.transform(links, self.rules(beta))

    def inverse(self, links: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """(V = F^-1(U), log|J| of F at V) of links U. Raises InversionError."""
        return transformation.inverse(links, self.rules(beta))

    def force(self, links: Tensor, beta: float, force_of: Callable[[Tensor], Tensor]) -> Tensor:
        """The force at V of S(F(V)) - log|J|, `force_of` that of S; like links."""
        return transformation.force(links, self.rules(beta), force_of)
