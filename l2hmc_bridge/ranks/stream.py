"""Streams whose lattice is shared by several ranks: begun, resumed, the same bits as on one.

    begin_on_ranks("1,1,1,2", options, files)      # in every process that torchrun started

Rank 0 reads and writes; a configuration is gathered there when it is kept.
"""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from l2hmc_bridge import __version__, fast
from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.fields import layout
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.books import OnRanks, Together
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.reach import halo, needs_even
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import World, joined
from l2hmc_bridge.recorded import folder as places, state as checkpoint
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.randomness import PHILOX
from l2hmc_bridge.recorded.specs import BundleSpec, KernelSpec, StreamKernel
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import resume, run as stream, summary
from l2hmc_bridge.stream.begin import Ready, defined, keep_bundle, prepared, started
from l2hmc_bridge.stream.choice import Choice, choose, decided
from l2hmc_bridge.stream.configurations import Configurations
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.outcome import Recorded, set_threads
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Progress, Silent, Stop, never
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
        _require_one_program(world)
        set_threads(options.threads)
        run = Run(world.made(lambda: _seed(options)), _listener(world, progress),
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
        _require_one_program(world)
        progress, kept = _listener(world, progress), _Whole()
        if not world.made(folder.is_dir):
            raise StreamError(f"{folder}: expected the folder of a stream, found none")
        with _on_rank_0(world, lock.locked(folder)):
            definition = world.made(lambda: _definition(folder))
            set_threads(threads or definition.threads)
            target = world.made(lambda: _reopened(folder, files, more, kept, progress))
            made = _spread(world, ranks, folder, definition, kept, target)
            run = Run(definition.seed, progress, Together(world, max_seconds, stop))
            with holding(made.share.part):
                if made.count < made.target:
                    resume.prove_again(made, definition, progress)
                return _recorded(world, folder, made, run)


def _begun(
    world: World, ranks: str, options: SampleOptions, files: Files, start: Start, kept: _Whole,
    run: Run,
) -> Recorded:
    """The stream from a start that rank 0 has read."""
    folder, decision = options.folder, decided(start, options)
    start = start.under(decision)
    choice = choose(start, decision, options, CPU)
    share = _share(world, ranks, choice.kernel, choice.spec, kept.links)
    with holding(share.part):
        mine = replace(start, links=share.scattered(kept.links, len(start.first)))
        state = first_state(mine, choice.kernel)
        output = world.made(lambda: files.output_format(_with_links(start, kept), options.format))
        for sentence in (*start.notes, *start.warnings):
            run.progress.say(sentence)
        with _on_rank_0(world, places.new_folder(folder), lock.locked(folder),
                        places.nothing_left(folder)):
            ready = prepared(options, mine, choice, state, run)
            whole = share.whole_state(ready.state)
            definition = world.made(lambda: _created(
                options, files, _with_links(start, kept), choice, _with_state(ready, whole),
                run.seed, output, kept))
            made = OnRanks(share, definition, ready.kernel, ready.state, options.trajectories,
                           [] if kept.books is None else kept.books.rows, kept.books)
            return _recorded(world, folder, made, run)


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
    folder: Path, files: Files, more: int | None, kept: _Whole, progress: Progress
) -> int:
    """On rank 0: the stream at its last save point; returns its target."""
    for sentence in resume.differences(folder, checkpoint.definition_of(folder), CPU):
        progress.say(sentence)
    kept.books = stream.reopen(folder, lambda found: Configurations(files, found), CPU, more)
    for sentence in kept.books.notes:
        progress.say(sentence)
    if kept.books.count >= kept.books.target:
        progress.say(f"{folder}: all of {kept.books.target} trajectories are there already "
                     "(-n asks for more)")
    return kept.books.target


def _spread(
    world: World, ranks: str, folder: Path, definition: Definition, kept: _Whole, target: int
) -> OnRanks:
    """The stream that rank 0 has reopened, in the hands of all."""
    books = kept.books
    kernel = stream.kernel_of(definition, folder, CPU)
    share = _share(world, ranks, kernel, definition.kernel,
                   None if books is None else books.state.links)
    state = share.state_of(None if books is None else books.state, definition.chains)
    rows = world.made(lambda: [] if books is None else books.rows)
    return OnRanks(share, definition, kernel, state, target, rows, books)


def _recorded(world: World, folder: Path, made: OnRanks, run: Run) -> Recorded:
    """Run to the target or a reason to stop; then history and summary, by rank 0."""
    run.deadline.restart()
    try:
        with run.progress.phase("sample", made.target, made.count) as shown:
            why = made.advance(run.deadline.why, shown.recorded)
        made.save_history()
    finally:
        if made.books is not None:
            made.books.log.close()
    result = summary.summarise(made.definition, made.rows, made.target)

    def write() -> None:
        summary.write(folder, result)

    world.made(write)
    return Recorded(folder, made.count, made.target, why, result)


def _share(
    world: World, ranks: str, kernel: StreamKernel, spec: KernelSpec, links: Tensor | None
) -> Share:
    """How the lattice of `links`, which rank 0 has, is cut for this kernel."""
    if isinstance(spec, BundleSpec):
        world.agreed("bundle", spec.hash)
    lattice = world.made(lambda: layout.extents(links) if links is not None else (0, 0, 0, 0))
    depth = halo(kernel)
    grid = chosen(ranks, lattice, world.size, depth, needs_even(kernel))
    return Share(world, grid, lattice, depth)


def _refuse(options: SampleOptions) -> None:
    """Raise ConfigError, by name, for what is not there on several ranks."""
    require_cpu(options.device)
    if options.kernel == "heatbath":
        raise ConfigError("ranks: expected the kernel hmc or l2hmc, found heatbath, which runs on "
                          "one rank alone")
    count = options.thermalise
    if count or (options.start is not None and count is None):
        raise ConfigError("ranks: expected a start that is thermalised (thermalise 0), found one "
                          "that is to be: that runs on one rank alone")


def require_cpu(device: str | None) -> None:
    """Raise ConfigError for GPUs, on which a lattice is not shared yet."""
    if device not in (None, "cpu"):
        raise ConfigError(f"ranks: expected the device cpu, found {device}: on a GPU a lattice "
                          "runs on one rank alone")


def _seed(options: SampleOptions) -> int:
    return secrets.randbits(32) if options.seed is None else options.seed


def _listener(world: World, progress: Progress | None) -> Progress:
    """Rank 0 says what is to be said."""
    return progress if progress is not None and world.first else Silent()


def _require_one_program(world: World) -> None:
    """Raise StreamError unless every rank runs the same version with the same kernels."""
    world.agreed("ranks", f"version {__version__}, torch {torch.__version__}, {fast.description()}")


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
    return definition


def _with_links(start: Start, kept: _Whole) -> Start:
    return start if kept.links is None else replace(start, links=kept.links)


def _with_state(ready: Ready, whole: State | None) -> Ready:
    return ready if whole is None else ready._replace(state=whole)


@contextmanager
def _on_rank_0(world: World, *contexts: AbstractContextManager[object]) -> Iterator[None]:
    """Contexts that rank 0 enters; what they refuse, all ranks refuse."""
    with ExitStack() as stack:

        def enter() -> None:
            for one in contexts:
                stack.enter_context(one)

        world.made(enter)
        yield
