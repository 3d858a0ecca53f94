"""A stream from Python: begin a new one, as `sample` does (`resume` goes on with it).

    recorded = begin_stream(SampleOptions(inputs="cfg.ildg", out="stream", trajectories=100), files)

`files` reads and writes configurations (the core knows no format); `l2hmc_bridge.begin_stream` has
those of `adapters/` at hand.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fast.devices import device_of
from l2hmc_bridge.observables.plan import Plan
from l2hmc_bridge.recorded import folder as places, randomness
from l2hmc_bridge.recorded.chains import ALL, Chains
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.randomness import PHILOX
from l2hmc_bridge.recorded.specs import BundleSpec, StreamKernel
from l2hmc_bridge.sampling.markov import State
from l2hmc_bridge.storage import lock
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.stream import prepare, provenance, run as stream
from l2hmc_bridge.stream.choice import Choice, choose, decided
from l2hmc_bridge.stream.configurations import Configurations
from l2hmc_bridge.stream.deadline import Deadline
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.outcome import Recorded, record, set_threads
from l2hmc_bridge.stream.prepare import Run
from l2hmc_bridge.stream.progress import Progress, Silent, Stop, never
from l2hmc_bridge.stream.reading import (
    Files,
    Output,
    from_files,
    from_nothing,
    outline,
    outline_of_nothing,
)
from l2hmc_bridge.stream.start import Start, first_state, sampled, save_every


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
    places.require_free(folder)
    Plan(flow_time=options.flow_time, flow_step=options.flow_step)  # refuses steps without sense
    seed = options.drawn_seed()
    start = started(options, files, seed)
    with randomness.arithmetic(PHILOX, start.links):
        return _recorded(options, files, start.on(device), Run(seed, progress, deadline), device)


def _recorded(
    options: SampleOptions, files: Files, start: Start, run: Run, device: torch.device
) -> Recorded:
    """The stream from a start that was read."""
    folder = options.folder
    decision = decided(start, options)
    start = start.under(decision)
    choice = choose(start, decision, options, device)
    state = first_state(start, choice.kernel)
    output = files.output_format(start, options.format)
    for sentence in (*start.notes, *start.warnings):
        run.progress.say(sentence)
    with places.new_folder(folder), lock.locked(folder), places.nothing_left(folder):
        ready = prepared(options, start, choice, state, run)
        definition = defined(options, start, choice, ready, run.seed, output,
                             digest_of(ready.state.links))
        with stream.create(folder, definition, ready.kernel, ready.state, options.trajectories,
                           Configurations(files, definition)) as made:
            keep_bundle(folder, choice)
            return record(made, run.progress, run.deadline)


class Ready(NamedTuple):
    """All that a definition and a stream need of what went before the first trajectory."""

    kernel: StreamKernel
    factor: float
    state: State
    record: dict[str, Any]


def outlined(options: SampleOptions, files: Files) -> Start:
    """What is known of the first fields before any link is read. Raises BridgeError."""
    if options.start is None or options.lattice is None:
        return outline(files, options.paths, options.chains)
    return outline_of_nothing(options.start, options.lattice, options.chains or 1)


def started(
    options: SampleOptions, files: Files, seed: int, chains: Chains = ALL
) -> Start:
    """The first fields of the own chains, read or made. Raises BridgeError."""
    if options.start is None or options.lattice is None:
        return from_files(files, options.paths, options.chains, chains)
    return from_nothing(options.start, options.lattice, options.chains or 1, seed, chains)


def prepared(
    options: SampleOptions, start: Start, choice: Choice, state: State, run: Run
) -> Ready:
    """Thermalise, tune and prove."""
    count = options.thermalise if options.start or options.thermalise else 0
    begun = prepare.thermalised(choice.kernel, choice.action, state, count, run)
    tuned = prepare.tuned(choice.kernel, begun.state, options, run)
    checks = prepare.proofs(tuned.kernel, choice.action, begun.state, run.seed,
                            None if begun.updates else start.plaquette, start.name,
                            chains=run.chains)
    start.warnings.extend(prepare.require(checks, start.name, options.ungated))
    return Ready(tuned.kernel, tuned.factor, begun.state, {
        "thermalised": begun.updates,
        "thermalised_by": begun.by,
        "tuning_trajectories": tuned.trajectories,
        "target_acceptance": options.target_acceptance if tuned.trajectories else None,
        "md_length": tuned.kernel.length,
        "checks": [check.as_dict() for check in checks],
    })


def defined(
    options: SampleOptions, start: Start, choice: Choice, ready: Ready, seed: int, output: Output,
    digest: str,
) -> Definition:
    """What the stream is defined by; `digest` of its first links tells it from others."""
    action = choice.action
    return Definition(
        seed=seed,
        kernel=choice.spec,
        action={"name": action.name, "beta": action.beta},
        factor=ready.factor,
        first=start.first if options.first is None else [options.first - 1] * len(start.first),
        save_every=options.save_every or save_every(start),
        keep_every=options.keep_every,
        flow_time=options.flow_time if "flow" in options.measure else 0.0,
        flow_step=options.flow_step,
        suffix=output.suffix,
        format=output.name,
        check_reversibility=options.check_reversibility,
        device=str(torch.device(options.device)),
        threads=torch.get_num_threads(),
        meta=[sampled(meta, action) for meta in start.meta],
        record={
            **start.record, **ready.record,
            "ungated": options.ungated,
            "start_digest": digest,
            "warnings": start.warnings,
            "lattice": start.lattice, "beta": action.beta,
            "provenance": {"command": options.described(), "date": provenance.now(),
                           **provenance.describe()},
        },
        numbers=PHILOX,
    )


def digest_of(links: Tensor) -> str:
    """SHA-256 of links [Nb,4,Nt,Nx,Ny,Nz,3,3], time slice by time slice of each direction."""
    sha = hashlib.sha256()
    for time_slice in links.flatten(0, 2):
        sha.update(time_slice.cpu().contiguous().numpy().data)
    return sha.hexdigest()


def keep_bundle(folder: Path, choice: Choice) -> None:
    """A copy of the bundle beside the stream, which goes on from it wherever the file goes."""
    if isinstance(choice.spec, BundleSpec):
        with replacing(folder / places.BUNDLE, force=True) as file:
            file.write(Path(choice.spec.bundle).read_bytes())
