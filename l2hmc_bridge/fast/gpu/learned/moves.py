"""The kicks and drifts that wait for a kernel."""

from typing import NamedTuple

from torch import Tensor

from l2hmc_bridge.fast.gpu.learned.networks import Network

FORWARD, INVERSE, TURN, PLAIN = range(4)  # modes of a kick


class Kick(NamedTuple):
    """A kick with a network, times `keep`, with the force of another field if there is one."""

    network: Network
    mode: int
    h: float
    mixing: float | None
    force: Tensor | None
    keep: float = 1.0


class Subset(NamedTuple):
    """Links of a direction and of a parity of the field's sites, with their network if they move by
    one.
    """

    mu: int
    odd: bool
    network: Network | None = None


class Drift(NamedTuple):
    """exp(sign e P) U, into `moved`, but a subset stays or moves by its network."""

    moved: Tensor | None
    e: float
    sign: int
    subset: Subset


NOBODY = Subset(-1, False)
STILL = Drift(None, 0.0, 1, NOBODY)
