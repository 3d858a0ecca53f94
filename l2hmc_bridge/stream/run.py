"""A resumable production stream: configurations, log, history, and the state to go on from.

    with lock.locked(folder), create(folder, definition, kernel, state, target, writer) as stream:
        stream.advance(stop=lambda: None, report=lambda row: None)
        stream.save_history()

What happens at trajectory n depends on (seed, chain, number of n), on the device that draws and on
the save points every `save_every` trajectories alone, never on where a run was stopped: `reopen`
and `advance` give the bits of a run that never was. The order at a save point: configurations, log,
state, each synced.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.stream import log as records, state as checkpoint
from l2hmc_bridge.stream.progress import Stop
from l2hmc_bridge.stream.specs import BundleSpec, StreamKernel
from l2hmc_bridge.stream.state import Checkpoint, Definition
from l2hmc_bridge.stream.trajectories import Trajectories
from l2hmc_bridge.systems.actions import gauge_action

LOG, HISTORY, BUNDLE = "log.jsonl", "history.h5", "bundle.safetensors"
HISTORY_INTERVAL = 60.0  # seconds between rewrites of history.h5 while a run goes on
PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.part(\..*)?")
Writer = Callable[[Path, Configuration], None]  # replaces what is there, whole or not at all
Report = Callable[[records.Row], None]


def kernel_of(
    definition: Definition, folder: Path, device: torch.device | None = None
) -> StreamKernel:
    """The kernel of a stream, steps scaled; its bundle is the copy in `folder`.

    Raises BundleError where the bundle is not the one that the stream began with.
    """
    action = gauge_action(definition.action["name"], definition.action["beta"])
    spec = definition.kernel
    if isinstance(spec, BundleSpec) and (folder / BUNDLE).is_file():
        spec = spec.at(folder / BUNDLE)
    return spec.build(action, device).scaled(definition.factor)


def create(
    folder: Path, definition: Definition, kernel: StreamKernel, state: State, target: int,
    writer: Writer,
) -> "Stream":
    """Begin a stream in `folder` (there, locked, without a stream) at `state` of all chains.

    `kernel` is the scaled one, whose `init` gave the state. Raises StreamError where a stream is
    there.
    """
    if checkpoint.exists(folder):
        raise StreamError(f"{folder}: expected no stream here, found one (--resume goes on with "
                          "it, --out names another folder)")
    definition = checkpoint.as_stored(definition)
    log = records.Log(folder / LOG)
    stream = Stream(folder, definition, kernel, state, target, writer, log, [])
    with closing_on_error(log):
        stream.save_state()
    return stream


def reopen(
    folder: Path, writer: Callable[[Definition], Writer], device: torch.device | None = None,
    more: int | None = None,
) -> "Stream":
    """The stream in `folder` (locked) at its last save point, with `more` trajectories to do.

    Without `more` its target stays. What a killed run left behind the save point is cut off or
    will be written again, with the same bits. Raises StreamError, BundleError.
    """
    point = checkpoint.load(folder, device)
    for path in (one for place in (folder, *folder.glob("chain_*")) for one in place.iterdir()):
        if PARTIAL.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
    kernel = kernel_of(point.definition, folder, device)
    log, rows = records.Log.reopen(folder / LOG, point.log_size, point.count)
    target = point.target if more is None else point.count + more
    stream = Stream(folder, point.definition, kernel, point.state, target,
                    writer(point.definition), log, rows)
    if target != point.target:
        with closing_on_error(log):
            stream.save_state()
    return stream


@contextmanager
def closing_on_error(log: records.Log) -> Iterator[None]:
    """Close the log where what follows its opening fails."""
    try:
        yield
    except BaseException:
        log.close()
        raise


class Stream(Trajectories):
    """An open stream: trajectories up to `target`, logged, written and saved."""

    def __init__(self, folder: Path, definition: Definition, kernel: StreamKernel, state: State,
                 target: int, writer: Writer, log: records.Log, rows: list[records.Row]):
        super().__init__(definition, kernel, state, rows)
        self.folder, self.target, self.writer, self.log = folder, target, writer, log
        self._history_time = time.monotonic()

    @torch.no_grad()
    def advance(self, stop: Stop, report: Report) -> str | None:
        """Go on to the target; returns None there, or the reason that `stop` gave, all saved."""
        why = None
        while self.count < self.target and why is None:
            row = self.trajectory()
            due = (self.count + 1) % self.definition.save_every == 0
            if due:
                row = self.reunitarise(row)
            self.log.append(row)
            self.rows.append(row)
            report(row)
            why = None if self.count == self.target else stop()
            if due or self.count == self.target:
                self.save_configurations()
            if due or self.count == self.target or why is not None:
                self.save_state()
        return why

    def save_configurations(self) -> None:
        """Write cfg_<trajectory>.<suffix> of every chain, whole, replacing an identical one."""
        for chain, number in enumerate(self.rows[-1]["trajectory"]):
            path = self.configuration_path(chain, number)
            path.parent.mkdir(exist_ok=True)
            meta = {**self.definition.meta[chain], "trajectory": number}
            self.writer(path, Configuration(self.state.links[chain, None].cpu(), meta))

    def configuration_path(self, chain: int, number: int) -> Path:
        """Where the configuration of a chain after trajectory `number` lies."""
        folder = self.folder if self.definition.chains == 1 else self.folder / f"chain_{chain}"
        return folder / f"cfg_{number}.{self.definition.suffix}"

    def save_state(self) -> None:
        """Make here and now the point from which `reopen` goes on."""
        self.log.sync()
        checkpoint.save(self.folder, Checkpoint(self.definition, self.state, self.count,
                                                self.target, self.log.size))
        if time.monotonic() - self._history_time > HISTORY_INTERVAL:
            self.save_history()

    def save_history(self) -> None:
        """Rewrite history.h5 from the rows."""
        records.history(self.folder / HISTORY, self.rows, self.definition)
        self._history_time = time.monotonic()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the log; what was saved is saved, what was not is done again on `reopen`."""
        self.log.close()
