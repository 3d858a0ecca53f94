"""Streams whose lattice is shared by several ranks: begun, resumed, the same bits as on one.

    begin_on_ranks("1,1,1,2", options, files)  # in every process that torchrun started

Rank 0 reads and writes; a configuration is gathered there when it is kept.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.books import OnRanks, Together
from l2hmc_bridge.ranks.steps import (
    listener,
    on_rank_0,
    require_cpu,
    require_one_program,
    share_of,
)
from l2hmc_bridge.ranks.world import World, joined
from l2hmc_bridge.recorded import folder as places, state as checkpoint
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.randomness import PHILOX
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import resume, run as stream
from l2hmc_bridge.stream.begin import Ready, defined, keep_bundle, prepared, started
from l2hmc_bridge.stream.choice import Choice, choose, decided
from l2hmc_bridge.stream.configurations import Configurations
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.outcome import Recorded, record, set_threads
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Progress, Stop, never
from l2hmc_bridge.stream.reading import Files, Output
from l2hmc_bridge.stream.run import Stream
from l2hmc_bridge.stream.start import Start, first_state

CPU = torch.device("cpu")
NO_LINKS = torch.empty(0)


class _Whole:
    """What rank 0 has of the whole lattice, and the stream that it writes."""

    links: Tensor | None = None
    books: Stream | None = None


def begin_on_ranks(
    ranks: str, options: SampleOptions, files: Files, progress: Progress | None = None,
    stop: Stop = never,
) -> Recorded:
    """`stream.begin.begin_stream` with the lattice cut as `ranks` says: "X,Y,Z,T" or "auto".

    Every process calls it alike. Raises BridgeError, the same on all of them.
    """
    _refuse(options)
    with joined() as world:
        require_one_program(world)
        set_threads(options.threads)
        run = Run(world.made(options.drawn_seed), listener(world, progress),
                  Together(world, options.max_seconds, stop))
        kept = _Whole()
        start = world.made(lambda: _read(options, files, run.seed, kept))
        return _begun(world, ranks, options, files, start, kept, run)


def resume_on_ranks(
    ranks: str, folder: Path | str, files: Files, more: int | None = None, *,
    max_seconds: float | None = None, threads: int | None = None,
    progress: Progress | None = None, stop: Stop = never,
) -> Recorded:
    """`stream.resume.resume_stream` on several ranks, whatever it ran on before.

    Every process calls it alike. Raises BridgeError, the same on all of them.
    """
    folder = Path(folder)
    with joined() as world:
        require_one_program(world)
        progress, kept = listener(world, progress), _Whole()
        if not world.made(folder.is_dir):
            raise StreamError(f"{folder}: expected the folder of a stream, found none")
        with on_rank_0(world, lock.locked(folder)):
            definition = world.made(lambda: _definition(folder))
            set_threads(threads or definition.threads)
            target = world.made(lambda: _reopened(folder, definition, files, more,
                                                  kept, progress))
            made = _spread(world, ranks, folder, definition, kept, target)
            run = Run(definition.seed, progress, Together(world, max_seconds, stop))
            with made, holding(made.share.part):
                if made.count < made.target:
                    resume.prove_again(made, definition, progress)
                return record(made, progress, run.deadline)


def _begun(
    world: World, ranks: str, options: SampleOptions, files: Files, start: Start, kept: _Whole,
    run: Run,
) -> Recorded:
    """The stream from a start that rank 0 has read."""
    folder, decision = options.folder, decided(start, options)
    start = start.under(decision)
    choice = choose(start, decision, options, CPU)
    share = share_of(world, ranks, choice.kernel, choice.spec, kept.links)
    with holding(share.part):
        mine = replace(start, links=share.scattered(kept.links, len(start.first)))
        state = first_state(mine, choice.kernel)
        output = world.made(lambda: files.output_format(_with_links(start, kept), options.format))
        for sentence in (*start.notes, *start.warnings):
            run.progress.say(sentence)
        with on_rank_0(world, places.new_folder(folder), lock.locked(folder),
                        places.nothing_left(folder)):
            ready = prepared(options, mine, choice, state, run)
            whole = share.whole_state(ready.state)
            definition = world.made(lambda: _created(
                options, files, _with_links(start, kept), choice, _with_state(ready, whole),
                run.seed, output, kept))
            made = OnRanks(folder, share, definition, ready.kernel, ready.state,
                           options.trajectories, kept.books,
                           [] if kept.books is None else kept.books.rows)
            with made:
                return record(made, run.progress, run.deadline)


def _created(
    options: SampleOptions, files: Files, start: Start, choice: Choice, ready: Ready, seed: int,
    output: Output, kept: _Whole,
) -> Definition:
    """On rank 0: the new stream on disk."""
    definition = defined(options, start, choice, ready, seed, output)
    kept.books = stream.create(options.folder, definition, ready.kernel, ready.state,
                               options.trajectories, Configurations(files, definition))
    keep_bundle(options.folder, choice)
    return definition


def _reopened(
    folder: Path, definition: Definition, files: Files, more: int | None, kept: _Whole,
    progress: Progress,
) -> int:
    """On rank 0: the stream at its last save point; returns its target."""
    kept.books = resume.reopened(folder, definition, files, CPU, more, progress)
    return kept.books.target


def _spread(
    world: World, ranks: str, folder: Path, definition: Definition, kept: _Whole, target: int
) -> OnRanks:
    """The stream that rank 0 has reopened, in the hands of all."""
    books = kept.books
    kernel = stream.kernel_of(definition, folder, CPU)
    share = share_of(world, ranks, kernel, definition.kernel,
                   None if books is None else books.state.links)
    state = share.state_of(None if books is None else books.state, definition.chains)
    rows = world.made(lambda: [] if books is None else books.rows)
    return OnRanks(folder, share, definition, kernel, state, target, books, rows)


def _refuse(options: SampleOptions) -> None:
    """Raise ConfigError, by name, for what is not there on several ranks."""
    require_cpu(options.device)
    if options.measure:
        raise ConfigError("ranks: expected no measurements along the way, found measure "
                          f"{', '.join(options.measure)}, which runs on one rank alone")
    if options.kernel == "heatbath":
        raise ConfigError("ranks: expected the kernel hmc or l2hmc, found heatbath, which runs on "
                          "one rank alone")
    count = options.thermalise
    if count or (options.start is not None and count is None):
        raise ConfigError("ranks: expected a start that is thermalised (thermalise 0), found one "
                          "that is to be: that runs on one rank alone")


def _read(options: SampleOptions, files: Files, seed: int, kept: _Whole) -> Start:
    """On rank 0: the start, its links kept there."""
    places.require_free(options.folder)
    start = started(options, files, seed)
    kept.links = start.links
    return replace(start, links=NO_LINKS)


def _definition(folder: Path) -> Definition:
    definition = checkpoint.definition_of(folder)
    if definition.numbers != PHILOX:
        raise StreamError(f"{folder}: expected a stream with numbered random numbers, found one "
                          "of an earlier version, which goes on on one rank alone")
    if definition.flow_time:
        raise StreamError(f"{folder}: expected a stream without measurements along the flow, found "
                          "one with them, which goes on on one rank alone")
    return definition


def _with_links(start: Start, kept: _Whole) -> Start:
    return start if kept.links is None else replace(start, links=kept.links)


def _with_state(ready: Ready, whole: State | None) -> Ready:
    return ready if whole is None else ready._replace(state=whole)
