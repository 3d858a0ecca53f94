"""A stream of all ranks as each one runs it: all compute, decide and save alike.

Each rank writes its own sites of configurations and of the save point; log, history and summary are
rank 0's.
"""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.recorded import belonging, folder as places, history, shared_state, state
from l2hmc_bridge.recorded.definition import Definition, as_stored
from l2hmc_bridge.recorded.log import Log
from l2hmc_bridge.recorded.rows import Row
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.recorded.state import Checkpoint
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage.together import digest_of
from l2hmc_bridge.stream import summary
from l2hmc_bridge.stream.configurations import Store
from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.progress import Stop
from l2hmc_bridge.stream.run import HISTORY_INTERVAL, Stream
from l2hmc_bridge.stream.trajectories import Trajectories


class Together(Deadline):
    """A deadline of all ranks: a reason of one of them is a reason of all."""

    def __init__(self, world: World, max_seconds: float | None, stop: Stop):
        super().__init__(max_seconds, stop)
        self.world = world

    def why(self) -> str | None:
        """To be asked by all ranks, once per trajectory."""
        return self.world.reason(super().why())


class OnRanks(Stream):
    """The stream with its fields in parts; `book`, on rank 0, is its log."""

    def __init__(self, folder: Path, share: Share, definition: Definition, kernel: StreamKernel,
                 state: State, target: int, store: Store, book: Log | None, rows: list[Row]):
        Trajectories.__init__(self, definition, kernel, state, rows, share.chains)
        self.folder, self.share, self.target, self.store = folder, share, target, store
        self.book, self.world = book, share.everyone
        self.notes = []
        self._history_time = time.monotonic()

    def append(self, row: Row) -> None:
        """One more line of the log."""

        def written() -> None:
            if self.book is not None:
                self.book.append(row)

        self.world.made(written)

    def save_configurations(self, numbers: list[int]) -> list[str]:
        """Write the configuration of every chain; returns the SHA-256 of each file."""
        return self.chains.every(self.world.settled(lambda: self._own_configurations(numbers)))

    def _own_configurations(self, numbers: list[int]) -> list[str]:
        """The same for the own chains, by those who share their lattice."""
        digests, own = [], self.share.world
        for links, chain in zip(self.state.links, self.chains.own(range(len(numbers))),
                                strict=True):
            path = self.configuration_path(chain, numbers[chain])
            own.made(partial(path.parent.mkdir, exist_ok=True))
            kept = self.definition.meta[chain] if self.definition.meta else {}
            self.store.write(path, Configuration(links[None].cpu(),
                                                 {**kept, "trajectory": numbers[chain]}))
            digests.append(own.made(partial(digest_of, path)) or "")
        return digests

    def _is_there(self, path: Path, digest: str | None) -> bool:
        found = self.world.made(lambda: digest_of(path))
        return found == digest if digest else found is not None and self.store.intact(path)

    def save_state(self) -> None:
        """Make here and now the point from which it can go on, on any grid."""
        size, digest = self.world.made(self._log_synced)
        shared_state.save(self.folder, Checkpoint(self.definition, self.state, self.count,
                                                  self.target, size, digest),
                          self.share.part_of_all, self.chains)
        if self.world.made(lambda: time.monotonic() - self._history_time > HISTORY_INTERVAL):
            self.save_history()

    def _log_synced(self) -> tuple[int, str]:
        if self.book is None:
            return 0, ""
        self.book.sync()
        return self.book.size, self.book.digest

    def save_history(self) -> None:
        """Rewrite history.h5 from the rows."""

        def written() -> None:
            if self.book is not None:
                history.write(self.folder / history.NAME, self.rows, self.definition,
                              self.book.digest)

        self.world.made(written)
        self._history_time = time.monotonic()

    def save_summary(self) -> Mapping[str, Any]:
        """Rewrite summary.json from the rows; what is in it."""

        def written() -> Mapping[str, Any]:
            result = summary.summarise(self.definition, self.rows, self.target)
            summary.write(self.folder, result)
            return result

        return self.world.made(written)

    def __exit__(self, *_error: object) -> None:
        if self.book is not None:
            self.book.close()


def created(
    folder: Path, share: Share, definition: Definition, kernel: StreamKernel, state_now: State,
    target: int, store: Store,
) -> OnRanks:
    """`stream.run.create` on all ranks."""
    kept: list[Log] = []

    def begin() -> None:
        if state.exists(folder):
            raise StreamError(f"{folder}: expected no stream here, found one (--resume goes on "
                              "with it, --out names another folder)")
        kept.append(Log.begin(folder / places.LOG))

    share.everyone.made(begin)
    made = OnRanks(folder, share, as_stored(definition), kernel, state_now, target, store,
                   kept[0] if kept else None, [])
    try:
        made.save_state()
    except BaseException:
        made.__exit__()
        raise
    return made


def reopened(
    folder: Path, share: Share, kernel: StreamKernel, store: Store, more: int | None,
    device: torch.device,
) -> OnRanks:
    """`stream.run.reopen` on all ranks, each on its own `device`."""
    world, chains = share.everyone, share.chains
    point = shared_state.load(folder, share.part_of_all, chains, device)
    definition = point.definition
    world.settled(lambda: belonging.require_state(folder / state.NAME, kernel, point.state))
    kept: list[Log] = []

    def opened() -> list[Row]:
        log, rows = Log.reopen(folder / places.LOG, point.log_size, point.count, definition.first,
                               point.log_digest)
        kept.append(log)
        return rows

    rows = world.made(opened)
    made = OnRanks(folder, share, definition, kernel, point.state,
                   point.target if more is None else point.count + more, store,
                   kept[0] if kept else None, rows)
    try:
        if rows:
            world.settled(lambda: belonging.require_last(folder / places.LOG, point.state,
                                                         rows[-1], chains))
        world.made(lambda: _tidy(made))
        made.restore_configurations(point.target)
        if made.target != point.target:
            made.save_state()
    except BaseException:
        made.__exit__()
        raise
    return made


def _tidy(made: OnRanks) -> None:
    """On rank 0: what a killed run left behind the save point goes, once all of it fits."""
    history.require_own(made.folder / history.NAME, made.rows, made.definition)
    if made.book is not None:
        made.book.cut_back()
    places.remove_partial(made.folder, *places.chain_folders(made.folder, made.definition))
