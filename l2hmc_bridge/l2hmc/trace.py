"""What happens along one trajectory: a record after the start and after every layer of Phi."""

from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.l2hmc.kernel import L2HMC
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
    """Phi (sign 1) or Phi^-1 (sign -1) from (U, P), layer after layer, each from the start anew.

    A kick between two layers is recorded half done: it closes one of them and opens the next.
    """
    force, drifts = kernel.guide.force(links), kernel.effective()[1]
    places = list(range(kernel.layers + 1))[::sign]
    time, found = 0.0, [_record(kernel, 0.0, links, momenta, links.new_zeros(len(links)).real)]
    for last in range(1, len(places)):
        at = kernel.enter(links, momenta, force)
        push = at.kick if sign > 0 else at.unkick
        push(places[0])
        for before, here in zip(places[:last], places[1:last + 1], strict=True):
            at.drift(min(before, here), sign)
            push(here, 0.5 if here == places[last] and last < kernel.layers else 1.0)
        end, time = at.leave(), time + float(drifts[min(places[last - 1], places[last])])
        found.append(_record(kernel, time, end.links, end.momenta, end.log_det))
    return found


def _record(kernel: L2HMC, time: float, links: Tensor, momenta: Tensor, log_det: Tensor) -> Record:
    energy = kernel.action(links) + group_of(kernel.action).kinetic(momenta)
    seen = system_of(kernel.action).observable(links)
    return Record(time, seen, energy, log_det, links, momenta)
