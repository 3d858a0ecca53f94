"""A stream of all ranks as each one runs it: all compute and decide alike, rank 0 alone writes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from l2hmc_bridge.fields import su3
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.randomness import arithmetic
from l2hmc_bridge.recorded.rows import Row
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.stream.progress import Deadline, Stop
from l2hmc_bridge.stream.run import Stream
from l2hmc_bridge.stream.trajectories import Trajectories

Made = TypeVar("Made")


class Together(Deadline):
    """A deadline of all ranks: a reason of one of them is a reason of all."""

    def __init__(self, world: World, max_seconds: float | None, stop: Stop):
        super().__init__(max_seconds, stop)
        self.world = world

    def why(self) -> str | None:
        """To be asked by all ranks, once per trajectory."""
        return self.world.reason(super().why())


class OnRanks(Stream):
    """The stream with its fields in parts; `books`, on rank 0, writes the whole of them."""

    def __init__(self, folder: Path, share: Share, definition: Definition, kernel: StreamKernel,
                 state: State, target: int, books: Stream | None, rows: list[Row]):
        Trajectories.__init__(self, definition, kernel, state, rows)
        self.folder, self.share, self.target, self.books = folder, share, target, books
        self.notes = []
        self._gathered: State | None = None  # what `books` has

    def append(self, row: Row) -> None:
        """One more line of the log."""
        self._by_rank_0(lambda books: books.append(row))

    def save_configurations(self, numbers: list[int]) -> list[str]:
        """Write the configuration of every chain; returns the SHA-256 of each file."""
        self._gather()
        return self._by_rank_0(lambda books: books.save_configurations(numbers)) or []

    def save_state(self) -> None:
        """Make here and now the point from which it can go on, on any grid."""
        self._gather()
        self._by_rank_0(lambda books: books.save_state())

    def save_history(self) -> None:
        """Rewrite history.h5 from the rows."""
        self._by_rank_0(lambda books: books.save_history())

    def projected(self) -> Tensor:
        """The links, projected to SU(3) by rank 0: how often, the worst of all links decides."""
        whole = self.share.gathered(self.state.links)
        projected = None if whole is None else su3.project_group(whole)
        return self.share.scattered(projected, self.definition.chains)

    def save_summary(self) -> Mapping[str, Any]:
        """Rewrite summary.json from the rows; what is in it, on rank 0."""
        return self._by_rank_0(lambda books: books.save_summary()) or {}

    def __exit__(self, *_error: object) -> None:
        if self.books is not None:
            self.books.log.close()

    def _gather(self) -> None:
        if self._gathered is self.state:  # a new one on all ranks, or on none
            return
        whole = self.share.whole_state(self.state)
        if self.books is not None and whole is not None:
            self.books.state = whole
        self._gathered = self.state

    def _by_rank_0(self, write: Callable[[Stream], Made]) -> Made | None:
        books = self.books

        def written() -> Made | None:
            if books is None:
                return None
            with arithmetic(self.definition.numbers, books.state.links):
                return write(books)

        return self.share.world.made(written)
