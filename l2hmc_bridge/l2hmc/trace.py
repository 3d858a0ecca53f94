"""What happens along one trajectory: a record after the start and after every layer of Phi."""

from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.reference import Point
from l2hmc_bridge.systems.groups import group_of
from l2hmc_bridge.systems.table import system_of


class Record(NamedTuple):
    """One place on a trajectory, every number [Nb]."""

    time: float  # MD time from the start
    observable: Tensor  # mean plaquette; |x|^2 of vectors
    energy: Tensor  # H = K + S
    log_det: Tensor  # log|J| so far
    links: Tensor
    momenta: Tensor

    @property
    def effective(self) -> Tensor:
        """H - log|J|, what the accept step compares at the ends."""
        return self.energy - self.log_det


@torch.no_grad()
def proposal(kernel: L2HMC, links: Tensor, momenta: Tensor) -> list[Record]:
    """The whole proposal: Phi, and for a palindrome Phi^-1 from the flipped momenta after it."""
    found = records(kernel, links, momenta)
    for number in range(1, 2 * kernel.repeats if kernel.composition == "palindrome" else 1):
        last = found[-1]
        more = records(kernel, last.links, -last.momenta if number % 2 else last.momenta,
                       -1 if number % 2 else 1)
        found += [one._replace(time=last.time + one.time, log_det=last.log_det + one.log_det,
                               momenta=-one.momenta if number % 2 else one.momenta)
                  for one in more[1:]]
    return found


@torch.no_grad()
def records(kernel: L2HMC, links: Tensor, momenta: Tensor, sign: int = 1) -> list[Record]:
    """Phi (sign 1) or Phi^-1 (sign -1) from (U, P), layer after layer.

    A kick between two layers is recorded half done: it closes one of them and opens the next.
    """
    point = Point(kernel, links, kernel.action.force(links))
    kicks, drifts, displacements = kernel.effective()
    push = kernel.kick if sign > 0 else kernel.unkick
    count, time, log_det = len(drifts), 0.0, links.new_zeros(len(links)).real
    found = [_record(kernel, time, links, momenta, log_det)]
    places = list(range(count + 1))[::sign]
    momenta, log_det = push(places[0], kicks[places[0]], displacements[places[0]], point, momenta)
    for before, here in zip(places, places[1:], strict=False):
        drift = min(before, here)
        point, change = kernel.advance(drift, drifts[drift], point, momenta, sign)
        log_det, time = log_det + change, time + float(drifts[drift])
        share = 1.0 if here == places[-1] else 0.5
        seen, change = push(here, share * kicks[here], displacements[here], point, momenta)
        found.append(_record(kernel, time, point.links, seen, log_det + change))
        momenta, change = push(here, kicks[here], displacements[here], point, momenta)
        log_det = log_det + change
    return found


def _record(kernel: L2HMC, time: float, links: Tensor, momenta: Tensor, log_det: Tensor) -> Record:
    energy = kernel.action(links) + group_of(kernel.action).kinetic(momenta)
    seen = system_of(kernel.action).observable(links)
    return Record(time, seen, energy, log_det, links, momenta)
