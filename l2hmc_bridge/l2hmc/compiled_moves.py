"""Which links a drift moves on the compiled kernels, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from l2hmc_bridge.fast.cpu import learned
from l2hmc_bridge.fast.cpu.library import Lattice
from l2hmc_bridge.fast.halo import odd_here
from l2hmc_bridge.l2hmc.compiled_field import Subset
from l2hmc_bridge.networks.covariant import DriftNetwork, subsets


class Move(NamedTuple):
    """One pass of a drift."""

    net: learned.Network | None
    mu: int
    odd: bool | None  # None: both parities
    order: int  # of learned.ALONE, FIRST, LAST


@dataclass(frozen=True)
class Moves:
    """The passes of the drifts 0 .. count - 1 with this network, with or without mixing."""

    lattice: Lattice
    network: DriftNetwork | None
    mixed: bool
    count: int

    def of_drift(self, k: int, sign: int, net: Callable[[int], learned.Network]) -> list[Move]:
        """Those of drift k, whose compiled network is net(k)."""
        network = self.network
        if network is None and not self.mixed:
            return [Move(None, learned.NO_DIRECTION, None, learned.LAST)]
        made, order = None if network is None else net(k), subsets(network, k, sign)
        if not self.mixed and network is not None and network.subsets == "turn":
            (mu, odd, _), = (one for one in order if one[2])
            return [Move(made, mu, self._here(odd),
                         learned.FIRST if order[0][2] else learned.LAST)]
        return [Move(made if alive else None, mu, self._here(odd), learned.ALONE)
                for mu, odd, alive in order]

    def first_after(self, k: int, mode: int, learned_kick: bool) -> Subset | None:
        """The links that move first after kick k, if some do before all others.

        After one with a network that ends an inverse pass: those of a forward pass from there.
        """
        network = self.network
        forward = mode == learned.FORWARD or (k == 0 and learned_kick)
        k, sign = (k, 1) if forward else (k - 1, -1)
        if network is None or network.subsets != "turn" or not 0 <= k < self.count:
            return None
        mu, odd, first = subsets(network, k, sign)[0]
        return (mu, odd_here(self.lattice.part, bool(odd))) if first else None

    def _here(self, odd: bool | None) -> bool | None:
        return None if odd is None else odd_here(self.lattice.part, odd)
