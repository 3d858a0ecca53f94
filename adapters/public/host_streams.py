"""The next configuration of a stream that a production code keeps as files (`sample --continue`).

The order of writing: the line of l2hmc_bridge.jsonl, the configuration, the side files. Killed
anywhere, the host's former configuration and its side files are as they were, and the same call
(after removing what it names) gives the same bits again: the line holds the seed.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from l2hmc_bridge.adapters.files import stream_files, table as files
from l2hmc_bridge.adapters.hosts import refuse
from l2hmc_bridge.adapters.public.host_options import KEPT, ContinueOptions
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.streams import couplings, names as host_streams, side_files
from l2hmc_bridge.adapters.streams.names import HostStream
from l2hmc_bridge.errors import StreamError, VerificationError
from l2hmc_bridge.fast.devices import device_of
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import prepare, provenance
from l2hmc_bridge.stream.begin import renamed, set_threads
from l2hmc_bridge.stream.choice import Choice, choose
from l2hmc_bridge.stream.log import Row
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Deadline, Progress, Silent, Stop, never
from l2hmc_bridge.stream.reading import from_files
from l2hmc_bridge.stream.specs import StreamKernel
from l2hmc_bridge.stream.start import Start, first_state
from l2hmc_bridge.stream.state import Definition
from l2hmc_bridge.stream.trajectories import Trajectories


class Continued(NamedTuple):
    """What was written: the host's next configuration, and how the trajectories went."""

    host: HostStream
    number: int
    rows: list[Row]
    sentences: list[str]  # of the side files, and warnings

    @property
    def path(self) -> Path:
        """Where the host's next configuration lies."""
        return self.host.path(self.number)


class _Ready(NamedTuple):
    kernel: StreamKernel
    state: State
    definition: Definition


def continue_stream(
    options: ContinueOptions, progress: Progress | None = None, stop: Stop = never
) -> Continued:
    """Run trajectories from the host's last configuration and write what the host goes on from.

    Raises BridgeError, with nothing written, where anything does not fit.
    """
    path, deadline = options.path, Deadline(None, stop)
    set_threads(options.threads)
    device = device_of(options.device)
    host = host_streams.recognise(path, files.header(path))
    folders = [host.folder, *options.side_files]
    with lock.locked(host.folder):
        before = host_log.last(host.folder, host.name)
        options = options.after(before)
        number = host.number + options.trajectories
        host_streams.refuse_later(host, folders)
        start = _start(path, options.beta)
        host = host_streams.recognise(path, start.read)  # the links may have told more
        sides, notes = side_files.plan(host, number, tuple(start.lattice), folders)
        start.notes.extend(notes)
        stated = start.stated.get(start.name) if options.beta is None else options.beta
        if stated is not None:
            couplings.require_beta(host, folders, float(stated))
        seed = options.seed if options.seed is not None else secrets.randbits(32)
        run = Run(seed, progress or Silent(), deadline)
        ready = _ready(host, start, options, before, device, run)
        state, rows = _trajectories(host, ready, number, run)
        host_streams.refuse_later(host, folders)
        said = [f"{side.path}: {side.said}" for side in sides]
        host_log.append(host.folder, _entry(host, number, ready.definition, rows, options, said))
        _write(host, number, ready.definition, state.links)
        for side in sides:
            side_files.write(side)
    return Continued(host, number, rows, [*said, *start.warnings])


def _start(path: Path, beta: float | None) -> Start:
    """The verified configuration; links that are fixed, open or carry phases are named as such."""
    try:
        start = from_files(stream_files, (path,), None, beta)
    except VerificationError as error:
        if "determinant: " in str(error):
            refuse.require_periodic_su3(str(path), files.read(path, verify=False).links)
        raise
    refuse.require_periodic_su3(str(path), start.links)
    return start


def _ready(
    host: HostStream, start: Start, options: ContinueOptions, before: Mapping[str, Any] | None,
    device: torch.device, run: Run,
) -> _Ready:
    """The kernel with its steps tuned, now or by an earlier call, proved at the start."""
    choice = choose(start, options, device)
    start = start.on(device)
    state = first_state(start, choice.kernel)
    for sentence in start.notes:  # everything that could be refused without work was
        run.progress.say(sentence)
    action = choice.action
    run.progress.say(f"{host.name}: sampled with the {action.name} action at beta {action.beta:g}, "
                     "no quarks: right only if that is what the host samples")
    if before is not None and "tune" not in options.fixed and _same(before, choice, start):
        factor, kernel = before["factor"], choice.kernel.scaled(before["factor"])
        run.progress.say(f"as before on this stream ({host_log.NAME}): all steps times "
                         f"{factor:.4g}, seed {run.seed} (--tune tunes anew)")
    else:
        factor, kernel, count = prepare.tuned(choice.kernel, state, options.tune, run)
        tried = {"thermalised": 0, "tuning_trajectories": count}
        start = replace(start, record={**start.record, **tried})
    checks = prepare.proofs(kernel, action, state, run.seed, start.plaquette, start.name)
    start.warnings.extend(prepare.require(checks, start.name, options.ungated))
    warned = {"warnings": start.warnings} if start.warnings else {}
    record = {**start.record, **warned, "lattice": start.lattice, "md_length": kernel.length,
              "checks": [check.as_dict() for check in checks],
              "provenance": {"command": options.described(), **provenance.describe()}}
    definition = _definition(host, choice, run.seed, factor, device)
    return _Ready(kernel, state, replace(
        definition, meta=[{**start.meta[0], "beta": action.beta}], record=record))


def _definition(
    host: HostStream, choice: Choice, seed: int, factor: float, device: torch.device
) -> Definition:
    """What fixes the trajectories."""
    return Definition(
        seed=seed,
        kernel=choice.spec,
        action={"name": choice.action.name, "beta": choice.action.beta},
        factor=factor,
        first=[host.number],
        save_every=1,
        suffix="",
        format=host.format,
        device=str(device),
        threads=torch.get_num_threads(),
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


def _write(host: HostStream, number: int, definition: Definition, links: torch.Tensor) -> None:
    path = host.path(number)
    meta = renamed({**definition.meta[0], "trajectory": number}, path.name)
    files.write(path, Configuration(links.cpu(), meta), format=host.format, **host.options)
