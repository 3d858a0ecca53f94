"""A stream from Python: begin a new one or resume one, as `sample` does.

    recorded = begin_stream(SampleOptions(inputs="cfg.ildg", out="stream", trajectories=100), files)
    recorded = resume_stream("stream", files, more=100)

`files` reads and writes configurations (the core knows no format); `l2hmc_bridge.begin_stream` has
those of `adapters/` at hand.
"""

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fast.devices import device_of
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import lock
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.stream import prepare, provenance, run as stream, state as checkpoint, summary
from l2hmc_bridge.stream.choice import Choice, choose
from l2hmc_bridge.stream.folder import new_folder, require_free
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Deadline, Progress, Silent, Stop, never
from l2hmc_bridge.stream.reading import Files, Output, from_files, from_nothing
from l2hmc_bridge.stream.run import Stream, Writer
from l2hmc_bridge.stream.specs import BundleSpec, StreamKernel
from l2hmc_bridge.stream.start import Start, first_state, save_every
from l2hmc_bridge.stream.state import Definition


class Recorded(NamedTuple):
    """What is in the folder now."""

    folder: Path
    trajectories: int
    target: int
    stopped: str | None  # the reason, if fewer than `target` are done
    summary: Mapping[str, Any]  # as summary.json has it


def begin_stream(
    options: SampleOptions, files: Files, progress: Progress | None = None, stop: Stop = never
) -> Recorded:
    """Check everything, make the folder, thermalise, tune, prove, and record a new stream.

    `stop` is asked after every trajectory; a reason ends the run with all of it saved, before the
    first recorded one with StreamError and no folder. Raises BridgeError, with nothing written,
    where anything does not fit.
    """
    progress, folder = progress or Silent(), options.folder
    deadline = Deadline(options.max_seconds, stop)
    set_threads(options.threads)
    device = device_of(options.device)
    require_free(folder)
    seed = options.seed if options.seed is not None else secrets.randbits(32)
    start = _start(options, files, seed)
    choice = choose(start, options, device)
    start = start.on(device)
    state = first_state(start, choice.kernel)
    output = files.output_format(start, options.format)
    for sentence in (*start.notes, *start.warnings):
        progress.say(sentence)
    run = Run(seed, progress, deadline)
    with new_folder(folder), lock.locked(folder):
        require_free(folder)
        ready = _prepared(options, start, choice, state, run)
        definition = _definition(options, start, choice, ready, seed, output)
        with stream.create(folder, definition, ready.kernel, ready.state, options.trajectories,
                           writer(files, definition)) as made:
            _keep_bundle(folder, choice)
            return _record(made, progress, deadline)


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
        definition = checkpoint.load(folder).definition
        set_threads(threads or definition.threads)
        place = device_of(device or definition.device)
        for sentence in _differences(folder, definition, place):
            progress.say(sentence)
        with stream.reopen(folder, lambda found: writer(files, found), place, more) as made:
            if made.count >= made.target:
                progress.say(f"{folder}: all of {made.target} trajectories are there already "
                             "(-n asks for more)")
            return _record(made, progress, deadline)


def writer(files: Files, definition: Definition) -> Writer:
    """What writes the configurations of a stream in its format."""

    def write(path: Path, configuration: Configuration) -> None:
        place = path.name if definition.chains == 1 else f"{path.parent.name}/{path.name}"
        meta = renamed(configuration.meta, place)
        files.write(path, configuration._replace(meta=meta), definition.format)

    return write


def renamed(meta: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The metadata with its logical file name, if any, that of `place` in the same collection."""
    if not meta.get("lfn"):
        return dict(meta)
    return {**meta, "lfn": f"{meta['lfn'].rpartition('/')[0]}/{place}"}


def set_threads(count: int | None) -> None:
    """Threads of torch and the kernels, if anybody says."""
    if count is not None:
        torch.set_num_threads(count)


class _Ready(NamedTuple):
    """All that a definition and a stream need of what went before the first trajectory."""

    kernel: StreamKernel
    factor: float
    state: State
    record: dict[str, Any]


def _start(options: SampleOptions, files: Files, seed: int) -> Start:
    if options.start is None or options.lattice is None:
        return from_files(files, options.paths, options.chains, options.beta)
    return from_nothing(options.start, options.lattice, options.chains or 1, seed)


def _prepared(
    options: SampleOptions, start: Start, choice: Choice, state: State, run: Run
) -> _Ready:
    """Thermalise, tune and prove."""
    count = options.thermalise if options.start or options.thermalise else 0
    begun = prepare.thermalised(choice.kernel, choice.action, state, count, run)
    tuned = prepare.tuned(choice.kernel, begun.state, options.tune, run)
    checks = prepare.proofs(tuned.kernel, choice.action, begun.state, run.seed,
                            None if begun.updates else start.plaquette, start.name)
    start.warnings.extend(prepare.require(checks, start.name, options.ungated))
    return _Ready(tuned.kernel, tuned.factor, begun.state, {
        "thermalised": begun.updates,
        "thermalised_by": begun.by,
        "tuning_trajectories": tuned.trajectories,
        "md_length": tuned.kernel.length,
        "checks": [check.as_dict() for check in checks],
    })


def _definition(
    options: SampleOptions, start: Start, choice: Choice, ready: _Ready, seed: int, output: Output
) -> Definition:
    """What the stream is defined by."""
    action = choice.action
    return Definition(
        seed=seed,
        kernel=choice.spec,
        action={"name": action.name, "beta": action.beta},
        factor=ready.factor,
        first=start.first,
        save_every=options.save_every or save_every(start),
        suffix=output.suffix,
        format=output.name,
        check_reversibility=options.check_reversibility,
        device=str(torch.device(options.device)),
        threads=torch.get_num_threads(),
        meta=[{**meta, "beta": action.beta} for meta in start.meta],
        record={
            **start.record, **ready.record,
            "warnings": start.warnings,
            "lattice": start.lattice, "beta": action.beta,
            "provenance": {"command": options.described(), **provenance.describe()},
        },
    )


def _keep_bundle(folder: Path, choice: Choice) -> None:
    """A copy of the bundle beside the stream, which goes on from it wherever the file goes."""
    if isinstance(choice.spec, BundleSpec):
        with replacing(folder / stream.BUNDLE, force=True) as file:
            file.write(Path(choice.spec.bundle).read_bytes())


def _record(made: Stream, progress: Progress, deadline: Deadline) -> Recorded:
    """Run to the target or a reason to stop; then history and summary."""
    deadline.restart()
    with progress.phase("sample", made.target, made.count) as shown:
        why = made.advance(deadline.why, shown.recorded)
    made.save_history()
    result = summary.summarise(made.definition, made.rows, made.target)
    summary.write(made.folder, result)
    return Recorded(made.folder, made.count, made.target, why, result)


def _differences(folder: Path, definition: Definition, device: torch.device) -> Iterator[str]:
    """What keeps a continuation from being bit for bit what it would have been."""
    began = {**definition.record["provenance"], "device": definition.device}
    now = {**provenance.describe(), "device": str(device)}
    for name in ("version", "git_revision", "torch", "compute", "device"):
        one, other = (str(of.get(name)).split(",")[0] for of in (began, now))
        if one != other:
            yield (f"{folder}: it began with {name} {one}, it goes on with {other}: as exact as "
                   "before, but perhaps not the same bits")
