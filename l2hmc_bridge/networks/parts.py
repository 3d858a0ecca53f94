"""What a trainable part must offer to the engines, the bundle and the gate."""

from typing import Any, Protocol

from torch import Tensor


class Part(Protocol):
    """A network of a kernel."""

    kind: str  # "covariant", "dense", "conv", "gate", "l2hmc-qcd"
    by_inputs: bool  # random weights that stand in for these shrink with the inputs they sum over

    @property
    def weight(self) -> Any:
        """Of the last layers; zero, as `bias`, for a part without effect."""

    @property
    def bias(self) -> Any:
        """Of the last layers."""

    @property
    def first(self) -> Any:
        """The first layer, or all of them."""

    @property
    def inputs(self) -> Any:
        """Numbers that one of its units sums over."""

    @property
    def fits(self) -> tuple[int, ...] | None:
        """Shape of the fields it was made for (colour apart), None if it fits any lattice."""

    def check(self, links: Tensor) -> None:
        """LayoutError unless the part fits the lattice of `links`."""

    def description(self) -> dict[str, Any]:
        """What `architecture.build` needs to make the same network again."""


class KickPart(Part, Protocol):
    """(s, q, t) of a kick from the links and their force."""

    def features(self, links: Tensor, force: Tensor, beta: float) -> tuple[Tensor, ...]:
        """What the kicks at one field share."""

    def __call__(self, kick: int, step: Tensor, features: tuple[Tensor, ...]
                 ) -> tuple[Tensor, Tensor, Tensor]:
        """(s, q, t) of kick number `kick` with step size h; t like links."""


class Mixing(Protocol):
    """M(U): a linear map of algebra fields, self-adjoint, M_mu free of U_mu."""

    def direction(self, links: Tensor, field: Tensor, mu: int) -> Tensor:
        """M_mu X for an algebra field X of direction mu."""

    def __call__(self, links: Tensor, field: Tensor) -> Tensor:
        """M X for all directions, like links."""

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int) -> Tensor:
        """U_mu' = exp(e M_mu P_mu) U_mu or its inverse, one direction after the other."""


class DriftPart(Part, Protocol):
    """Lambda+ and its inverse: some links move at fixed others and fixed momenta."""

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None, beta: float) -> tuple[Tensor, Tensor]:
        """(links', log|J| [Nb]) of drift number `drift`, sign 1, or of its exact inverse, sign -1.
        """
