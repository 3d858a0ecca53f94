"""Processes of an MPI communicator, as a host that runs under MPI has it, through mpi4py.

    from mpi4py import MPI
    transport = over(MPI.COMM_WORLD)  # or any communicator of the host

And `beside`: MPI for what neighbours swap, beside torch.distributed for all else.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fast.collectives import DOWN, UP, home
from l2hmc_bridge.ranks.launch import PMIX, answers
from l2hmc_bridge.ranks.transport import Transport

Told = TypeVar("Told")

PATIENCE = 0.5  # seconds without an answer, after which it is asked if all processes are there
SWITCH = "L2HMC_BRIDGE_MPI"  # "off": nothing goes by MPI but what a host gave its communicator for
_KEYS: list[int] = []  # of what is kept with a communicator: those made of it, by their order


def library() -> Any:
    """mpi4py's MPI, initialised unless the host did so before. Raises BridgeError without it."""
    try:
        mpi = _loaded()
    except (ImportError, RuntimeError) as error:
        raise BridgeError("expected mpi4py and the MPI library of the host, to share a lattice "
                          f"with its ranks, found none that loads ({error}): pip install mpi4py") \
            from error
    if not mpi.Is_initialized():
        mpi.Init_thread()
        atexit.register(_finalised, mpi)
    return mpi


def _loaded() -> Any:
    """mpi4py's MPI, as it is: to initialise it takes all processes."""
    import mpi4py
    if "mpi4py.MPI" not in sys.modules:
        mpi4py.rc.initialize = False
    from mpi4py import MPI
    return MPI


def _finalised(mpi: Any) -> None:
    if not mpi.Is_finalized():
        mpi.Finalize()


def abandon() -> None:
    """End without MPI's farewell, which waits for all processes: its launcher then ends the others.
    """
    atexit.unregister(_finalised)


class Mpi:
    """The processes of a communicator, in its order.

    lost: whether one of them failed by itself, asked where no answer comes.
    """

    def __init__(self, communicator: Any, lost: Callable[[], bool] | None = None) -> None:
        self.mpi, self.communicator, self.lost = library(), communicator, lost
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
        first, second = down.cpu(), up.cpu()  # themselves, if they are in main memory
        below, above = torch.empty_like(second), torch.empty_like(first)
        self._wait([
            self.communicator.Isend(first.numpy(), lower, DOWN),
            self.communicator.Isend(second.numpy(), upper, UP),
            self.communicator.Irecv(below.numpy(), lower, UP),
            self.communicator.Irecv(above.numpy(), upper, DOWN)])
        return home(below, up), home(above, down)

    def _wait(self, requests: list[Any]) -> None:
        if self.lost is None:
            self.mpi.Request.Waitall(requests)
            return
        since = time.monotonic()
        while not self.mpi.Request.Testall(requests):
            if time.monotonic() - since > PATIENCE:
                if self.lost():
                    raise RuntimeError("another process failed")
                since = time.monotonic()

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


def beside(everyone: Transport, lost: Callable[[], bool]) -> Mpi | None:
    """What carries the messages of neighbours among processes that mpirun started, or None.

    MPI knows which processes share memory. Asked by all: one answer, and nothing initialised unless
    all of them have mpi4py on the same MPI library, one that the launcher knows. lost: as of `Mpi`.
    """
    known = everyone.of_all(_known())
    if not known[0] or any(one != known[0] for one in known):
        return None
    found = over()
    if not all(everyone.of_all((found.rank, found.size) == (everyone.rank, everyone.size))):
        return None
    return Mpi(found.communicator.Dup(), lost)


def _known() -> str:
    """The MPI library of mpi4py, "" without one, or if it would not find its launcher."""
    if os.environ.get(SWITCH) == "off":
        return ""
    try:
        mpi = _loaded()
    except (ImportError, RuntimeError):
        return ""
    version = str(mpi.Get_library_version())
    if mpi.Is_finalized() or ("Open MPI" in version and not answers(PMIX)):
        return ""
    return version


def over(communicator: Any = None) -> Mpi:
    """The processes of a communicator, all of them by default. Raises BridgeError without mpi4py.
    """
    return Mpi(library().COMM_WORLD if communicator is None else communicator)
