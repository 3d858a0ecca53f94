"""Streams whose lattice is shared by several ranks: begun, resumed, the same bits as on one.

    begin_on_ranks("1,1,1,2", options, files)  # in every process that torchrun started

Each rank reads and writes its own sites; no rank ever holds the whole lattice.
"""

from pathlib import Path

import torch

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.books import Together, created, reopened
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.steps import (
    device_again,
    listener,
    on_device,
    on_rank_0,
    require_one_program,
    share_of,
)
from l2hmc_bridge.ranks.world import joined
from l2hmc_bridge.recorded import folder as places, shared_state, state as checkpoint
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.randomness import PHILOX
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import resume, run as stream
from l2hmc_bridge.stream.begin import defined, keep_bundle, outlined, prepared, started
from l2hmc_bridge.stream.choice import Choice, choose, decided
from l2hmc_bridge.stream.configurations import Configurations
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.outcome import Recorded, record, set_threads
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Progress, Stop, never
from l2hmc_bridge.stream.reading import Files
from l2hmc_bridge.stream.start import Start, first_state


def begin_on_ranks(
    ranks: str, options: SampleOptions, files: Files, progress: Progress | None = None,
    stop: Stop = never,
) -> Recorded:
    """`stream.begin.begin_stream` with the lattice cut as `ranks` says: "X,Y,Z,T" or "auto".

    Every process calls it alike. Raises BridgeError, the same on all of them.
    """
    with joined() as world:
        require_one_program(world)
        world, device, note = on_device(world, options.device)
        set_threads(options.threads)
        run = Run(world.made(options.drawn_seed), listener(world, progress),
                  Together(world, options.max_seconds, stop))
        world.made(lambda: places.require_free(options.folder))
        start, choice = world.each(lambda: _chosen(outlined(options, files), options, device))
        share = share_of(world, ranks, choice.kernel, choice.spec, start.extents, len(start.first),
                         device)
        run = run._replace(chains=share.chains)
        with holding(share.part):
            start, choice = world.settled(lambda: _chosen(
                started(options, files, run.seed, share.chains).on(device), options, device))
            start.notes.extend(filter(None, [note]))
            return _recorded(share, options, files, start, choice, run)


def resume_on_ranks(
    ranks: str, folder: Path | str, files: Files, more: int | None = None, *,
    max_seconds: float | None = None, threads: int | None = None, device: str | None = None,
    progress: Progress | None = None, stop: Stop = never,
) -> Recorded:
    """`stream.resume.resume_stream` on several ranks, whatever it ran on before.

    Every process calls it alike. Raises BridgeError, the same on all of them.
    """
    folder = Path(folder)
    with joined() as world:
        require_one_program(world)
        progress = listener(world, progress)
        if not world.made(folder.is_dir):
            raise StreamError(f"{folder}: expected the folder of a stream, found none")
        with on_rank_0(world, lock.locked(folder)):
            definition = world.each(lambda: _definition(folder))
            set_threads(threads or definition.threads)
            world, place, note = on_device(world, device or device_again(world, definition.device))
            kernel = world.each(lambda: stream.kernel_of(definition, folder, place))
            share = share_of(world, ranks, kernel, definition.kernel,
                             world.each(lambda: shared_state.lattice_of(folder)),
                             definition.chains, place)
            with holding(share.part):
                for sentence in filter(None, (*resume.differences(
                        folder, definition, torch.device(device or definition.device)), note)):
                    progress.say(sentence)
                made = reopened(folder, share, kernel, Configurations(files, definition), more,
                                place)
                resume.say_reopened(made, progress)
                run = Run(definition.seed, progress, Together(world, max_seconds, stop))
                with made:
                    if made.count < made.target:
                        resume.prove_again(made, definition, progress)
                    return record(made, progress, run.deadline)


def _chosen(start: Start, options: SampleOptions, device: torch.device) -> tuple[Start, Choice]:
    """What is sampled from a start, and by which kernel on this device."""
    decision = decided(start, options)
    start = start.under(decision)
    return start, choose(start, decision, options, device)


def _recorded(
    share: Share, options: SampleOptions, files: Files, start: Start, choice: Choice, run: Run
) -> Recorded:
    """The stream from a start whose sites each rank has read."""
    world, folder = share.everyone, options.folder
    state = world.settled(lambda: first_state(start, choice.kernel))
    output = files.output_format(start, options.format)
    for sentence in (*start.notes, *start.warnings):
        run.progress.say(sentence)
    with on_rank_0(world, places.new_folder(folder), lock.locked(folder),
                   places.nothing_left(folder)):
        ready = prepared(options, start, choice, state, run)
        told = defined(options, start, choice, ready, run.seed, output,
                       share.digest(ready.state.links))
        definition = world.made(lambda: told)  # with the hour and the machine of rank 0
        with created(folder, share, definition, ready.kernel, ready.state, options.trajectories,
                     Configurations(files, definition)) as made:
            world.made(lambda: keep_bundle(folder, choice))
            return record(made, run.progress, run.deadline)


def _definition(folder: Path) -> Definition:
    definition = checkpoint.definition_of(folder)
    if definition.numbers != PHILOX:
        raise StreamError(f"{folder}: expected a stream with numbered random numbers, found one "
                          "of an earlier version, which goes on on one rank alone")
    return definition
