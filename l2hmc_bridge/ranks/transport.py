"""How processes reach each other: what is sent and summed, by torch.distributed or by MPI (`mpi`).

Everything that is said between ranks goes through one of these; `world` and `share` say what.
"""

import datetime
from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch.distributed as dist
from torch import Tensor

from l2hmc_bridge.fast.collectives import Collectives, home

Told = TypeVar("Told")
WAIT = datetime.timedelta(minutes=30)  # for a process that is there and says nothing


class Transport(Protocol):
    """Processes numbered from 0; fields are real, contiguous and in main memory.

    What neighbours swap may be on GPUs.
    """

    @property
    def rank(self) -> int:
        """The number of this process."""

    @property
    def size(self) -> int:
        """How many there are."""

    def from_first(self, value: Told) -> Told:
        """The value of rank 0, on every rank."""

    def of_all(self, value: Told) -> list[Told]:
        """The values of all ranks, by number."""

    def total(self, numbers: Tensor) -> None:
        """Replace whole numbers, int64, by their sums over ranks."""

    def largest(self, numbers: Tensor) -> None:
        """Replace numbers, none of them NaN, by the largest over ranks."""

    def send(self, field: Tensor, rank: int) -> None:
        """Give a field to a rank that receives it."""

    def receive(self, field: Tensor, rank: int) -> None:
        """Fill a field with what a rank sends."""

    def swap(self, lower: int, upper: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        """Send `down` to rank `lower` and `up` to `upper`: what they send (up, down) in turn."""

    def in_order(self, order: Sequence[int]) -> "Transport":
        """The same processes numbered anew: number n is that of `order[n]`."""

    def divided(self, size: int) -> "Transport":
        """This process's group of `size`, of processes one after the other. Asked by all."""


class Carrier(Protocol):
    """What carries the messages of neighbours, by the numbers of processes among all."""

    def swap(self, lower: int, upper: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        """As that of a transport."""


class Distributed:
    """Processes of torch.distributed: all of them in its order, or a group in another.

    order: their numbers among all, by the number here; carrier: of what neighbours swap, gloo by
    default, which sends it through the network even between processes of one machine; gpus: the
    nccl group of all processes, if every one has a GPU of its own: it carries what is on them.
    """

    def __init__(self, order: Sequence[int] = (), group: dist.ProcessGroup | None = None,
                 carrier: Carrier | None = None, gpus: dist.ProcessGroup | None = None) -> None:
        self.order, self.group = tuple(order) or tuple(range(dist.get_world_size())), group
        self.carrier, self.gpus = carrier, gpus
        self.size, self.rank = len(self.order), self.order.index(dist.get_rank())
        self.collectives = Collectives(gpus, control=group)

    def from_first(self, value: Told) -> Told:
        told = [value]
        dist.broadcast_object_list(told, self.order[0], group=self.group)
        return told[0]

    def of_all(self, value: Told) -> list[Told]:
        found = [value] * self.size
        dist.all_gather_object(found, value, group=self.group)
        by_torch = dict(zip(sorted(self.order), found, strict=True))
        return [by_torch[place] for place in self.order]

    def total(self, numbers: Tensor) -> None:
        self.collectives.add_up(numbers)

    def largest(self, numbers: Tensor) -> None:
        self.collectives.take_largest(numbers)

    def send(self, field: Tensor, rank: int) -> None:
        dist.send(field, self.order[rank], group=self.group)

    def receive(self, field: Tensor, rank: int) -> None:
        dist.recv(field, self.order[rank], group=self.group)

    def swap(self, lower: int, upper: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self.order[lower], self.order[upper]
        if self.carrier is None or self.collectives.direct(down):
            return self.collectives.swapped(down, up, lower, upper)
        below, above = self.carrier.swap(lower, upper, down.cpu(), up.cpu())
        return home(below, up), home(above, down)

    def in_order(self, order: Sequence[int]) -> "Distributed":
        return Distributed([self.order[number] for number in order], self.group, self.carrier,
                           self.gpus)

    def divided(self, size: int) -> "Distributed":
        members = [self.order[first:first + size] for first in range(0, self.size, size)]
        groups = [dist.new_group(sorted(one), timeout=WAIT) for one in members]
        number = self.rank // size
        return Distributed(members[number], groups[number], self.carrier, self.gpus)

    def on_gpus(self, gpus: dist.ProcessGroup | None) -> "Distributed":
        """The same processes, with their nccl group."""
        return Distributed(self.order, self.group, self.carrier, gpus)
