"""Processes of an MPI communicator, as a host that runs under MPI has it, through mpi4py.

    from mpi4py import MPI
    transport = over(MPI.COMM_WORLD)  # or any communicator of the host
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fast.collectives import DOWN, UP
from l2hmc_bridge.ranks.transport import Transport

Told = TypeVar("Told")

_KEYS: list[int] = []  # of what is kept with a communicator: those made of it, by their order


def library() -> Any:
    """mpi4py's MPI, initialised unless the host did so before. Raises BridgeError without it."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise BridgeError("expected mpi4py and the MPI library of the host, to share a lattice "
                          f"with its ranks, found none that loads ({error}): pip install mpi4py") \
            from error
    return MPI


class Mpi:
    """The processes of a communicator, in its order."""

    def __init__(self, communicator: Any) -> None:
        self.mpi, self.communicator = library(), communicator
        self.rank, self.size = int(communicator.Get_rank()), int(communicator.Get_size())

    def from_first(self, value: Told) -> Told:
        return self.communicator.bcast(value, 0)

    def of_all(self, value: Told) -> list[Told]:
        return self.communicator.allgather(value)

    def total(self, numbers: Tensor) -> None:
        self.communicator.Allreduce(self.mpi.IN_PLACE, numbers.numpy(), self.mpi.SUM)

    def largest(self, numbers: Tensor) -> None:
        self.communicator.Allreduce(self.mpi.IN_PLACE, numbers.numpy(), self.mpi.MAX)

    def send(self, field: Tensor, rank: int) -> None:
        self.communicator.Send(field.numpy(), rank)

    def receive(self, field: Tensor, rank: int) -> None:
        self.communicator.Recv(field.numpy(), rank)

    def swap(self, lower: int, upper: int, down: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        below, above = torch.empty_like(up), torch.empty_like(down)
        self.mpi.Request.Waitall([
            self.communicator.Isend(down.numpy(), lower, DOWN),
            self.communicator.Isend(up.numpy(), upper, UP),
            self.communicator.Irecv(below.numpy(), lower, UP),
            self.communicator.Irecv(above.numpy(), upper, DOWN)])
        return below, above

    def in_order(self, order: Sequence[int]) -> "Mpi":
        """A communicator of its own, kept with this one: its messages meet none of the host's."""
        if not _KEYS:
            _KEYS.append(self.mpi.Comm.Create_keyval())
        made: dict[tuple[int, ...], Mpi] = self.communicator.Get_attr(_KEYS[0]) or {}
        if tuple(order) not in made:
            made[tuple(order)] = Mpi(self.communicator.Split(0, list(order).index(self.rank)))
            self.communicator.Set_attr(_KEYS[0], made)
        return made[tuple(order)]

    def divided(self, size: int) -> "Mpi":
        return Mpi(self.communicator.Split(self.rank // size, self.rank))


def beside(everyone: Transport) -> Mpi | None:
    """What carries the messages of neighbours among processes that mpirun started, or None.

    MPI knows which processes share memory. Asked by all: one answer, None where any of them has no
    mpi4py, or one of another MPI than that of the launcher.
    """
    try:
        found: Mpi | None = over()
    except BridgeError:
        found = None
    fits = found is not None and (found.rank, found.size) == (everyone.rank, everyone.size)
    if found is None or not all(everyone.of_all(fits)):
        return None
    return Mpi(found.communicator.Dup())


def over(communicator: Any = None) -> Mpi:
    """The processes of a communicator, all of them by default. Raises BridgeError without mpi4py.
    """
    return Mpi(library().COMM_WORLD if communicator is None else communicator)
