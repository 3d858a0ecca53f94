"""A resumable production stream: configurations, log, history, and the state to go on from.

    with lock.locked(folder), create(folder, definition, kernel, state, target, files) as stream:
        stream.advance(stop=lambda: None, report=lambda row: None)
        stream.save_history()

What happens at trajectory n depends on (seed, chain, number of n), on the device that draws and on
the save points every `save_every` trajectories alone, never on where a run was stopped: `reopen`
and `advance` give the bits of a run that never was. The order at a save point: configurations, log,
state, each synced.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.recorded import (
    belonging,
    folder as places,
    history,
    randomness,
    state as checkpoint,
)
from l2hmc_bridge.recorded.definition import Definition, as_stored
from l2hmc_bridge.recorded.log import Log, closing_on_error
from l2hmc_bridge.recorded.rows import Row
from l2hmc_bridge.recorded.specs import BundleSpec, NestedSpec, StreamKernel
from l2hmc_bridge.recorded.state import Checkpoint
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.storage import regular
from l2hmc_bridge.storage.together import digest_of
from l2hmc_bridge.stream import summary
from l2hmc_bridge.stream.configurations import Store
from l2hmc_bridge.stream.progress import Stop
from l2hmc_bridge.stream.trajectories import Trajectories
from l2hmc_bridge.systems.actions import gauge_action

HISTORY_INTERVAL = 60.0  # seconds between rewrites of history.h5 while a run goes on
Report = Callable[[Row], None]


def kernel_of(
    definition: Definition, folder: Path, device: torch.device | None = None
) -> StreamKernel:
    """The kernel of a stream, steps scaled; its bundle is the copy in `folder`.

    Raises BundleError if the bundle is not the one that the stream began with.
    """
    action = gauge_action(definition.action["name"], definition.action["beta"])
    spec = definition.kernel
    if isinstance(spec, BundleSpec) and regular.kind(folder / places.BUNDLE) == "a file":
        spec = spec.at(folder / places.BUNDLE)
    return spec.build(action, device).scaled(definition.factor)


Made = Callable[[Definition, Path, torch.device | None], StreamKernel]


def create(
    folder: Path, definition: Definition, kernel: StreamKernel, state: State, target: int,
    store: Store,
) -> "Stream":
    """Begin a stream in `folder` (there, locked, without a stream) at `state` of all chains.

    `kernel` is the scaled one, whose `init` gave the state. Raises StreamError if a stream is
    there.
    """
    if checkpoint.exists(folder):
        raise StreamError(f"{folder}: expected no stream here, found one (--resume goes on with "
                          "it, --out names another folder)")
    definition = as_stored(definition)
    log = Log.begin(folder / places.LOG)
    stream = Stream(folder, definition, kernel, state, target, store, log, [])
    with closing_on_error(log):
        stream.save_state()
    return stream


def around(kernel: Nested, host: Host) -> Made:
    """`made` of `reopen` for a nested step, whose terms no file holds: unscaled, as it began.

    Raises StreamError, by name, if the stream ran on another host or with other steps.
    """
    def made(definition: Definition, folder: Path, device: torch.device | None) -> StreamKernel:
        spec = definition.kernel
        if not isinstance(spec, NestedSpec):
            raise StreamError(f"{folder}: expected a stream of nested steps, found one of "
                              f"{definition.kernel.stored()['kind']}")
        spec.require(kernel, host)
        return kernel.scaled(definition.factor)

    return made


def reopen(
    folder: Path, store: Callable[[Definition], Store], device: torch.device | None = None,
    more: int | None = None, made: Made = kernel_of,
) -> "Stream":
    """The stream in `folder` (locked) at its last save point, with `more` trajectories to do.

    Without `more` its target stays; `made` builds the kernel. What a killed run left behind the
    save point is cut off or will be written again, with the same bits; last configurations that
    are gone are written anew. Raises StreamError if the parts do not belong to each other,
    BundleError.
    """
    point = checkpoint.load(folder, device)
    definition = point.definition
    kernel = made(definition, folder, device)
    belonging.require_state(folder / checkpoint.NAME, kernel, point.state)
    log, rows = Log.reopen(folder / places.LOG, point.log_size, point.count, definition.first,
                           point.log_digest)
    target = point.target if more is None else point.count + more
    stream = Stream(folder, definition, kernel, point.state, target, store(definition), log, rows)
    with closing_on_error(log):
        if rows:
            belonging.require_last(log.path, point.state, rows[-1])
        history.require_own(folder / history.NAME, rows, definition)
        log.cut_back()  # nothing was changed before all of this fits
        places.remove_partial(folder, *places.chain_folders(folder, definition))
        stream.restore_configurations(point.target)
        if target != point.target:
            stream.save_state()
    return stream


class Stream(Trajectories):
    """An open stream: trajectories up to `target`, logged, written and saved.

    notes: sentences on what `reopen` found and mended.
    """

    def __init__(self, folder: Path, definition: Definition, kernel: StreamKernel, state: State,
                 target: int, store: Store, log: Log, rows: list[Row]):
        super().__init__(definition, kernel, state, rows)
        self.folder, self.target, self.store, self.log = folder, target, store, log
        self.notes: list[str] = []
        self._history_time = time.monotonic()

    @torch.no_grad()
    def advance(self, stop: Stop, report: Report) -> str | None:
        """Go on to the target; returns None there, or the reason that `stop` gave, all saved."""
        with randomness.arithmetic(self.definition.numbers, self.state.links):
            return self._advance(stop, report)

    def _advance(self, stop: Stop, report: Report) -> str | None:
        why = None
        while self.count < self.target and why is None:
            row, count = self.trajectory(), self.count + 1
            if self.definition.saves(count):
                row = self.reunitarise(row)
            if self.definition.keeps(count) or count == self.target:
                row = {**row, "files": self.save_configurations(row["trajectory"]),
                       **self.measured()}
            self.append(row)
            self.rows.append(row)
            report(row)
            why = None if count == self.target else stop()
            if self.definition.saves(count) or count == self.target or why is not None:
                self.save_state()
        return why

    def append(self, row: Row) -> None:
        """One more line of the log."""
        self.log.append(row)

    def save_configurations(self, numbers: list[int]) -> list[str]:
        """Write cfg_<trajectory>.<suffix> of every chain, whole, replacing an identical one.

        Returns the SHA-256 of each file.
        """
        digests = []
        for chain, number in enumerate(numbers):
            path = self.configuration_path(chain, number)
            path.parent.mkdir(exist_ok=True)
            kept = self.definition.meta[chain] if self.definition.meta else {}
            links = self.state.links[chain, None].cpu()
            self.store.write(path, Configuration(links, {**kept, "trajectory": number}))
            digests.append(digest_of(path) or "")
        return digests

    def configuration_path(self, chain: int, number: int) -> Path:
        """Where the configuration of a chain after trajectory `number` lies."""
        return places.configuration_path(self.folder, self.definition, chain, number)

    def restore_configurations(self, target: int) -> None:
        """Write the last configurations anew if one is missing or is not what the log says.

        target: that of the last run, at which configurations are written, too.
        """
        kept = [n for n, row in enumerate(self.rows, 1) if row["files"] is not None]
        last = max(kept, default=self.count)
        if not self.rows or not kept and not (self.definition.keeps(last) or last == target):
            return
        row = self.rows[last - 1]
        wrong = [path for chain, number in enumerate(row["trajectory"])
                 if not self._is_there(path := self.configuration_path(chain, number),
                                       row["files"] and row["files"][chain])]
        if not wrong:
            return
        if last < self.count:
            self.notes.append(f"{wrong[0]}: missing or damaged; the state is that of trajectory "
                              f"{self.rows[-1]['trajectory'][0]}, from which it cannot be written")
            return
        made = self.save_configurations(row["trajectory"])
        said = "" if row["files"] in (None, made) else " (by another version: not the same bytes)"
        self.notes.append(f"{wrong[0]}: missing or damaged; written anew from the state{said}")

    def _is_there(self, path: Path, digest: str | None) -> bool:
        """Whether a configuration is the one of this digest; one without a digest can be read."""
        found = digest_of(path)
        return found == digest if digest else found is not None and self.store.intact(path)

    def save_state(self) -> None:
        """Make here and now the point from which `reopen` goes on."""
        self.log.sync()
        checkpoint.save(self.folder, Checkpoint(self.definition, self.state, self.count,
                                                self.target, self.log.size, self.log.digest))
        if time.monotonic() - self._history_time > HISTORY_INTERVAL:
            self.save_history()

    def save_history(self) -> None:
        """Rewrite history.h5 from the rows."""
        history.write(self.folder / history.NAME, self.rows, self.definition, self.log.digest)
        self._history_time = time.monotonic()

    def save_summary(self) -> Mapping[str, Any]:
        """Rewrite summary.json from the rows; returns what is in it."""
        result = summary.summarise(self.definition, self.rows, self.target)
        summary.write(self.folder, result)
        return result

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the log; what was saved is saved, what was not is done again on `reopen`."""
        self.log.close()
