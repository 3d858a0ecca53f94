"""The next configuration of a stream that a production code keeps as files (`sample --continue`).

Configuration and side files are written aside, the line of l2hmc_bridge.jsonl says so, then they
get their names. Killed anywhere, the same call again gives the same files: it finishes what the
line says, or starts anew with the seed in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.public import cut_short, host_files
from l2hmc_bridge.adapters.public.host_options import KEPT, ContinueOptions
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.streams import (
    names as host_streams,
    side_files,
    stream_files,
    theory as host_theory,
)
from l2hmc_bridge.adapters.streams.names import HostStream
from l2hmc_bridge.adapters.streams.side import Side
from l2hmc_bridge.adapters.streams.stream_files import StreamFiles
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.ranks.hands import Hands, Outline, hands
from l2hmc_bridge.recorded import randomness
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.randomness import PHILOX
from l2hmc_bridge.recorded.rows import Row
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import prepare, provenance
from l2hmc_bridge.stream.choice import Choice, choose, decided
from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.outcome import set_threads
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Progress, Stop, never
from l2hmc_bridge.stream.reading import from_files, outline
from l2hmc_bridge.stream.start import Start, first_state, sampled
from l2hmc_bridge.stream.trajectories import Trajectories


class Continued(NamedTuple):
    """What was written: the host's next configuration, and how the trajectories went."""

    host: HostStream
    number: int
    rows: list[Row]
    sentences: list[str]  # of the side files
    warnings: list[str]

    @property
    def path(self) -> Path:
        """Where the host's next configuration lies."""
        return self.host.path(self.number)


class _Ready(NamedTuple):
    kernel: StreamKernel
    state: State
    definition: Definition


def continue_stream(
    options: ContinueOptions, progress: Progress | None = None, stop: Stop = never,
    ranks: str | None = None,
) -> Continued:
    """Run trajectories from the host's last configuration and write what the host goes on from.

    ranks: one lattice over several processes, each of which calls this: how many along x, y, z, t
    ("1,1,1,2"), or "auto". Raises BridgeError, with nothing written, where anything does not fit.
    """
    with hands(ranks, options.device) as those:
        return _continued(options, those, those.listener(progress), those.deadline(stop))


def _continued(
    options: ContinueOptions, those: Hands, progress: Progress, deadline: Deadline
) -> Continued:
    """The stream's next configuration, once its folder is locked and what was cut short done."""
    path = options.path
    set_threads(options.threads)
    host = those.made(lambda: host_streams.recognise(path, files.header(path)))
    folders = [host.folder, *options.side_files]
    with those.entered(lock.locked(host.folder)):
        before, renamed, told = those.made(lambda: cut_short.found(host, folders))
        for sentence in told:
            progress.say(sentence)
        if before is not None and renamed and before["from"] == path.name:
            return _finished(host, before)
        options = options.after(before)
        those.made(lambda: host_streams.refuse_later(host, folders))
        reading = stream_files.asked_for(options, folders)
        with those.holding(lambda: _outlined(options, reading, those.device)):
            run = Run(those.made(options.drawn_seed), progress, deadline)
            return _updated(options, reading, folders, before, run, those)


def _outlined(options: ContinueOptions, reading: StreamFiles, device: torch.device) -> Outline:
    """What the head of the configuration tells of the update."""
    start = outline(reading, (options.path,), None)
    choice = choose(start, decided(start, options), options, device)
    return Outline(choice.kernel, choice.spec, start.extents)


def _updated(
    options: ContinueOptions, reading: StreamFiles, folders: Sequence[Path],
    before: Mapping[str, Any] | None, run: Run, those: Hands,
) -> Continued:
    """The next configuration, from links that each process has read its part of."""
    start = from_files(reading, (options.path,), None)
    host = host_streams.recognise(options.path, start.read)  # the links may have told more
    number = host.number + options.trajectories
    decision = decided(start, options)
    those.made(lambda: host_theory.require_beta(host, folders, decision.beta))
    start = start.under(decision).on(those.device)
    sides: list[Side] = []  # of the first process, which writes them
    lattice = tuple(start.lattice)
    notes, said = those.made(lambda: _planned(host, number, lattice, folders, options, sides))
    start.notes.extend((*notes, *filter(None, [those.note])))
    choice = choose(start, decision, options, those.device)
    with randomness.arithmetic(PHILOX, start.links):
        ready = _ready(host, start, choice, options, before, run)
        state, rows = _trajectories(host, ready, number, run)
    those.made(lambda: host_streams.refuse_later(host, folders))
    made = host_files.aside(host, number, start.first[0], ready.definition, state.links, sides,
                            those)
    entry = _entry(host, number, ready.definition, rows, options, said)
    those.made(lambda: host_files.place(host, made, entry))
    return Continued(host, number, rows, said, start.warnings)


def _planned(
    host: HostStream, number: int, lattice: Sequence[int], folders: Sequence[Path],
    options: ContinueOptions, sides: list[Side],
) -> tuple[list[str], list[str]]:
    """Fills `sides` for configuration `number`; (what to say of others, what is said of these)."""
    planned, notes = side_files.plan(host, number, lattice, folders, options.without_rng)
    sides.extend(planned)
    return notes, [f"{side.path}: {side.said}" for side in planned]


def _finished(host: HostStream, entry: Mapping[str, Any]) -> Continued:
    """What the last call would have said of the update that it did not finish."""
    number = host_streams.number_of(host, entry["to"])
    warnings = entry.get("record", {}).get("warnings", [])
    return Continued(host, number, entry["rows"], entry.get("side_files", []), warnings)


def _ready(
    host: HostStream, start: Start, choice: Choice, options: ContinueOptions,
    before: Mapping[str, Any] | None, run: Run,
) -> _Ready:
    """The kernel with its steps tuned, now or by an earlier call, proved at the start."""
    state = first_state(start, choice.kernel)
    for sentence in start.notes:  # everything that could be refused without work was
        run.progress.say(sentence)
    action = choice.action
    run.progress.say(f"{host.name}: sampled with the {action.name} action at beta {action.beta:g}, "
                     "no quarks: right only if that is what the host samples")
    if before is not None and not options.tunes and _same(before, choice, start):
        factor, kernel = before["factor"], choice.kernel.scaled(before["factor"])
        run.progress.say(f"as before on this stream ({host_log.NAME}): all steps times "
                         f"{factor:.4g}, seed {run.seed} (--tune tunes anew)")
    else:
        factor, kernel, count = prepare.tuned(choice.kernel, state, options, run)
        start = start.recording({"thermalised": 0, "tuning_trajectories": count})
    checks = prepare.proofs(kernel, action, state, run.seed, start.plaquette, start.name)
    start.warnings.extend(prepare.require(checks, start.name, options.ungated))
    warned = {"warnings": start.warnings} if start.warnings else {}
    record = {**start.record, **warned, "lattice": start.lattice, "md_length": kernel.length,
              "checks": [check.as_dict() for check in checks],
              "provenance": {"command": options.described(), **provenance.describe()}}
    definition = _definition(host, choice, run.seed, factor, start.links.device)
    return _Ready(kernel, state, replace(
        definition, meta=[sampled(start.meta[0], action)], record=record))


def _definition(
    host: HostStream, choice: Choice, seed: int, factor: float, device: torch.device
) -> Definition:
    """What fixes the trajectories."""
    return Definition(
        seed=seed, kernel=choice.spec, factor=factor, first=[host.number],
        action={"name": choice.action.name, "beta": choice.action.beta},
        save_every=1, suffix="", format=host.format, device=str(device),
        threads=torch.get_num_threads(),
        numbers=PHILOX,
    )


def _same(before: Mapping[str, Any], choice: Choice, start: Start) -> bool:
    """Whether the last call on this stream tuned this kernel for this action and lattice."""
    nowhere = {"bundle": None}  # wherever the file of the bundle lies: its hash tells
    action = {"name": choice.action.name, "beta": choice.action.beta}
    return ({**before["kernel"], **nowhere}, before["action"], before["lattice"]) == (
        {**choice.spec.stored(), **nowhere}, action, start.lattice)


def _trajectories(
    host: HostStream, ready: _Ready, number: int, run: Run
) -> tuple[State, list[Row]]:
    """The state after trajectories host.number + 1 .. number, and their rows."""
    made = Trajectories(ready.definition, ready.kernel, ready.state, [])
    target = number - host.number
    run.deadline.restart()
    with torch.no_grad(), run.progress.phase("continue", target) as shown:
        while made.count < target:
            made.rows.append(made.reunitarise(made.trajectory()))
            shown.recorded(made.rows[-1])
            why = run.deadline.why()
            if why is not None and made.count < target:
                raise StreamError(f"{host.path(number)}: stopped {why} after {made.count} of "
                                  f"{target} trajectories: nothing was written")
    return made.state, made.rows


def _entry(
    host: HostStream, number: int, definition: Definition, rows: list[Row],
    options: ContinueOptions, said: Sequence[str],
) -> dict[str, Any]:
    """The line of the log."""
    kept = {key: getattr(options, name) for key, name in KEPT.items()}
    return {
        "stream": host.name,
        "code": host.scheme.name,
        "from": host.path(host.number).name,
        "to": host.path(number).name,
        "options": {**kept, "seed": definition.seed,
                    "bundle": None if options.bundle is None else str(options.bundle)},
        "seed": definition.seed,
        "kernel": definition.kernel.stored(),
        "action": definition.action,
        "factor": float(definition.factor),
        "lattice": definition.record["lattice"],
        "rows": rows,
        "side_files": list(said),
        "record": definition.record,
    }
