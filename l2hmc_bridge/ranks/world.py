"""The processes of one run: what one says to all, sums over all, neighbours.

An error of rank 0 is raised by all of them; where a process ends, the others end too.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from l2hmc_bridge.errors import BridgeError, ConfigError, StreamError, lacks_memory
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks import mpi
from l2hmc_bridge.ranks.launch import Launch, launch
from l2hmc_bridge.ranks.transport import WAIT, Distributed, Transport

Made = TypeVar("Made")
FAILED = "failed"  # what a process tells the others' store when it ends by an error


class World:
    """All processes, or a group of them, and this one among them."""

    def __init__(self, transport: Transport) -> None:
        self.transport, self.rank, self.size = transport, transport.rank, transport.size

    def divided(self, size: int) -> "World":
        """This process's group of `size`, of processes one after the other. Asked by all."""
        return self if size == self.size else World(self.transport.divided(size))

    def on_gpus(self, gpus: dist.ProcessGroup | None) -> "World":
        """The same processes, whose nccl group carries what neighbours swap, if there is one."""
        here = self.transport
        return World(here.on_gpus(gpus)) if gpus and isinstance(here, Distributed) else self

    @property
    def first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def made(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes of whole fields, on every rank; every rank raises its error."""
        told: tuple[Made | None, Exception | None] = (None, None)
        if self.first:
            try:
                with holding(None), memory_named(self.rank):
                    told = (make(), None)
            except (BridgeError, OSError, MemoryError) as error:
                told = (None, error)
        value, refused = self.transport.from_first(told)
        if refused is not None:
            raise refused
        return value  # type: ignore[return-value]

    def each(self, make: Callable[[], Made]) -> Made:
        """What every rank makes of whole fields by itself; every rank raises the error of the
        lowest that has one.
        """

        def whole() -> Made:
            with holding(None):
                return make()

        return self.settled(whole)

    def settled(self, make: Callable[[], Made]) -> Made:
        """What every rank, or each group of them, makes by itself of what it holds.

        Every rank raises the error of the lowest that has one.
        """
        made: list[Made] = []
        failed: Exception | None = None
        try:
            with memory_named(self.rank):
                made.append(make())
        except (BridgeError, OSError, MemoryError) as error:
            failed = error
        self.all_well(failed)
        return made[0]

    def all_well(self, failed: Exception | None) -> None:
        """Raise on every rank the error of the lowest one that has one."""
        for error in self.told(failed):
            if error is not None:
                raise error

    def agreed(self, what: str, value: str) -> None:
        """Raise StreamError unless every rank has the same text."""
        found = self.told(value)
        for rank, one in enumerate(found):
            if one != found[0]:
                raise StreamError(f"{what}: expected {found[0][:80]} on every rank as on rank 0, "
                                  f"found {one[:80]} on rank {rank}")

    def reason(self, why: str | None) -> str | None:
        """The reason to stop of the lowest rank that has one."""
        return next((one for one in self.told(why) if one is not None), None)

    def told(self, value: Made) -> list[Made]:
        """What each rank has to tell, in their order."""
        return self.transport.of_all(value)

    def sent(self, fields: Iterable[Tensor], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """The field that rank 0 has for this rank; `fields` are asked for there alone."""
        if not self.first:
            held = torch.empty(shape, dtype=dtype)
            self.transport.receive(_real(held), 0)
            return held
        mine: Tensor | None = None
        for rank, one in enumerate(fields):
            if mine is None:
                mine = one
            else:
                self.transport.send(_real(one), rank)
        return torch.empty(shape, dtype=dtype) if mine is None else mine

    def received(self, field: Tensor, rank: int) -> Tensor:
        """On rank 0 the field of another rank, which has this shape; elsewhere what is sent."""
        if self.first and rank:
            held = torch.empty_like(field)
            self.transport.receive(_real(held), rank)
            return held
        if self.rank == rank != 0:
            self.transport.send(_real(field), 0)
        return field


@contextmanager
def memory_named(rank: int) -> Iterator[None]:
    """Raise StreamError where torch found no memory for a field, in main memory or on a GPU."""
    try:
        yield
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        said = " ".join(str(error).split())
        raise StreamError(f"rank {rank}: expected memory for its fields, found too little (more "
                          f"ranks hold less each): {said[:160]}") from error


@contextmanager
def joined() -> Iterator[World]:
    """The processes that were started together. Raises ConfigError, StreamError."""
    here = launch()
    if not (dist.is_available() and dist.is_gloo_available()):
        raise ConfigError("ranks: expected torch.distributed with gloo, found none (install a "
                          "build of torch that has it)")
    with ended_processes():
        store = None if dist.is_torchelastic_launched() else _met(here)
        dist.init_process_group("gloo", store=store, rank=here.rank, world_size=here.size,
                                timeout=WAIT)
        try:
            carrier = None if store is None or not here.mpi else mpi.beside(
                Distributed(), lambda: store.check([FAILED]))
            yield World(Distributed(carrier=carrier))
            dist.barrier()  # a process that leaves early breaks the connections of those at work
        except Exception:
            mpi.abandon()
            with suppress(RuntimeError):  # rank 0, which keeps the store, may be gone
                if store is not None:
                    store.set(FAILED, "1")
            raise
        finally:
            dist.destroy_process_group()


def _met(here: Launch) -> dist.TCPStore:
    """What rank 0 keeps for all of them. Raises StreamError there for a port that is taken."""
    try:
        return dist.TCPStore(here.address, here.port, here.size, here.rank == 0, timeout=WAIT)
    except dist.DistNetworkError as error:
        if "EADDRINUSE" not in str(error):
            raise
        raise StreamError(f"MASTER_PORT: expected a port of this machine where nobody listens, "
                          f"found {here.port} taken (set it to another)") from error


@contextmanager
def ended_processes() -> Iterator[None]:
    """Raise StreamError where the connection to another process broke."""
    try:
        yield
    except (RuntimeError, dist.DistBackendError) as error:
        if isinstance(error, BridgeError):
            raise
        said = str(error).strip().split("\n")[-1]
        raise StreamError("ranks: a process of this run ended, so all do (a stream goes on from "
                          f"its last save point with --resume): {said[:160]}") from error


def _real(field: Tensor) -> Tensor:
    """The numbers of a field, which its memory holds."""
    return torch.view_as_real(field) if field.is_complex() else field
