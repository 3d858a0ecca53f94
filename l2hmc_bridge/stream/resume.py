"""A stream goes on, bit for bit as if it had never stopped."""

from collections.abc import Iterator
from pathlib import Path

import torch

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fast.devices import device_of
from l2hmc_bridge.recorded import randomness, state as checkpoint
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.log import closing_on_error
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import prepare, provenance, run as stream
from l2hmc_bridge.stream.configurations import Configurations
from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.outcome import Recorded, record, set_threads
from l2hmc_bridge.stream.progress import Progress, Silent, Stop, never
from l2hmc_bridge.stream.reading import Files
from l2hmc_bridge.stream.run import Stream
from l2hmc_bridge.systems.actions import gauge_action


def resume_stream(
    folder: Path | str, files: Files, more: int | None = None, *,
    max_seconds: float | None = None, threads: int | None = None, device: str | None = None,
    progress: Progress | None = None, stop: Stop = never,
) -> Recorded:
    """Go on with the stream in `folder`, bit for bit as if it had never stopped.

    `more` trajectories are added to those that are done; without it, what was cut short is
    finished. threads and device: those it began with, if None. Raises StreamError, BundleError.
    """
    progress, folder = progress or Silent(), Path(folder)
    deadline = Deadline(max_seconds, stop)
    if not folder.is_dir():
        raise StreamError(f"{folder}: expected the folder of a stream, found "
                          f"{'a file' if folder.exists() else 'none'}")
    with lock.locked(folder):
        definition = checkpoint.definition_of(folder)
        set_threads(threads or definition.threads)
        place = device_of(device or definition.device)
        with reopened(folder, definition, files, place, more, progress) as made:
            if made.count < made.target:
                with randomness.arithmetic(definition.numbers, made.state.links):
                    prove_again(made, definition, progress)
            return record(made, progress, deadline)


def reopened(
    folder: Path, definition: Definition, files: Files, device: torch.device, more: int | None,
    progress: Progress,
) -> Stream:
    """The stream at its last save point, and all that is to be said of it."""
    for sentence in differences(folder, definition, device):
        progress.say(sentence)
    made = stream.reopen(folder, lambda found: Configurations(files, found), device, more)
    with closing_on_error(made.log):
        say_reopened(made, progress)
    return made


def say_reopened(made: Stream, progress: Progress) -> None:
    """What was mended, and whether anything is left to do."""
    for sentence in made.notes:
        progress.say(sentence)
    if made.count >= made.target:
        progress.say(f"{made.folder}: all of {made.target} trajectories are there already "
                     "(-n asks for more)")


def prove_again(made: Stream, definition: Definition, progress: Progress) -> None:
    """The quick gate before a stream goes on; BundleError if a check fails, unless it began so."""
    action = gauge_action(definition.action["name"], definition.action["beta"])
    checks = prepare.proofs(made.kernel, action, made.state, definition.seed, None,
                            str(made.folder), definition.numbers, made.chains)
    for sentence in prepare.require(checks, str(made.folder),
                                    definition.record.get("ungated") is True):
        progress.say(sentence)


def differences(folder: Path, definition: Definition, device: torch.device) -> Iterator[str]:
    """What keeps a continuation from being bit for bit what it would have been."""
    began = {**definition.record["provenance"], "device": definition.device}
    now = {**provenance.describe(), "device": str(device)}
    for name in ("version", "git_revision", "torch", "compute", "device"):
        one, other = (str(of.get(name)).split(",")[0] for of in (began, now))
        if one != other:
            yield (f"{folder}: it began with {name} {one}, it goes on with {other}: as exact as "
                   "before, but perhaps not the same bits")
