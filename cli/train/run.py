"""The phases of `train`: begin or go on, train, validate, write the bundle, gate it."""

import os
import signal
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from l2hmc_bridge.analysis.statistics import with_error
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.cli.screen.options import parse_any_lattice
from l2hmc_bridge.cli.screen.progress import Bar, bar, spinner
from l2hmc_bridge.cli.screen.tables import sentence, show_checks
from l2hmc_bridge.cli.screen.voice import warn, wrote
from l2hmc_bridge.cli.train.inputs import provenance_of, starting_links
from l2hmc_bridge.cli.train.nested import train_on_host
from l2hmc_bridge.errors import ConfigError, StreamError
from l2hmc_bridge.fast.devices import own_device
from l2hmc_bridge.gate.report import check_bundle
from l2hmc_bridge.training import (
    checkpoint as training_checkpoint,
    history,
    loop as training,
    outcome as training_outcome,
    parallel,
)
from l2hmc_bridge.training.read import read, table_of


def train(config, out, inputs, resume, force, tensorboard, gated, gate_lattice, device, seed,
          reading):
    """Everything after the options were parsed; see `command.py`."""
    table = table_of(config)
    if "host" in table:
        _refuse_overwriting(Path(out), Path(f"{out}.checkpoint"), resume, force, ())
        train_on_host(config, table if seed is None else {**table, "seed": seed},
                      {"out": out, "inputs": inputs, "resume": resume, "gated": gated,
                       "tensorboard": tensorboard, "device": device}, provenance_of(inputs))
        return
    settings, device = read(config), own_device(device)
    settings = settings if seed is None else replace(settings, seed=seed)
    extents = parse_any_lattice(gate_lattice or _gate_lattice(settings))
    out = Path(out)
    checkpoint = Path(f"{out}.checkpoint")
    _refuse_overwriting(out, checkpoint, resume, force, settings.snapshots)
    provenance = provenance_of(inputs)
    links = starting_links(settings, inputs, reading, provenance)
    with parallel.processes(device, warn):
        trainer = (training_checkpoint.load(settings, checkpoint, device) if resume
                   else training.start(settings, device))
        _same_inputs(trainer, inputs, checkpoint if resume else None)
        if gated:
            bundle.require_fit(trainer.kernel, extents, f"--gate-lattice {gate_lattice}")
        first = parallel.rank() == 0
        scalars = _scalars(tensorboard if first else None)
        try:
            finished = _run(trainer, checkpoint, links,
                            _each(trainer, out, provenance, scalars) if first else scalars, first)
        finally:
            if first:
                history.write(Path(f"{out}.history.h5"), trainer)
    if not first:
        _end_process()
    if not finished:
        warn(f"stopped at iteration {trainer.iteration}; --resume goes on")
        return
    _finish(trainer, out, provenance, extents if gated else None)
    checkpoint.unlink(missing_ok=True)
    wrote(out)


def _end_process() -> NoReturn:
    """End a process that has nothing more to do, at once.

    gloo's threads may still be closing their connections; an interpreter that takes itself apart
    beneath them aborts now and then, and torchrun ends the process that writes the bundle.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _finish(trainer, out, provenance, extents) -> None:
    """Validate, write the bundle and, with `extents`, the gate's report; exit status 1 on FAIL."""
    with spinner("validate against the starting point"):
        outcome = training_outcome.finish(trainer, out, provenance)
    gain = with_error(outcome["gain"], outcome["gain_error"])
    sentence(f"{outcome['score']}: {gain} x the start; kept: {outcome['kept']}")
    if extents is None:
        return
    with spinner("gate") as say:
        checks, report = check_bundle(out, extents, progress=say)
    show_checks(checks, f"{out}  hash {report['hash'][:12]}")
    bundle.write_gate(out, report)
    if not report["passed"]:
        click.get_current_context().exit(1)


def _gate_lattice(settings) -> str:
    """The last stage's, where the networks fit no other or answers are known; a small one else."""
    networks = (settings.model.kick_network, settings.model.drift_network)
    fixed = any(network and network.get("kind") == "dense" for network in networks)
    any_volume = settings.group == "su3" and not fixed
    return ",".join(map(str, (4, 4, 4, 4) if any_volume else settings.stages[-1].lattice))


def _each(trainer, out, provenance, scalars):
    """What is done with every row of the history: numbers for TensorBoard, bundles on the way."""

    def write(row) -> None:
        scalars(row)
        training_outcome.snapshot(trainer, out, provenance)

    return write


def _refuse_overwriting(out, checkpoint, resume, force, snapshots) -> None:

    if not out.parent.is_dir():
        raise StreamError(f"{out}: expected the folder {out.parent} to exist, found none (--out)")
    if resume and not checkpoint.exists():
        raise StreamError(f"{checkpoint}: expected a checkpoint to go on from, found none "
                          "(without --resume a run begins)")
    if force:
        return
    if checkpoint.exists() and not resume and not out.exists():
        raise StreamError(f"{checkpoint}: expected none, found a checkpoint; pass --resume to go "
                          "on from it or --force to begin anew")
    before = () if resume else (training_outcome.snapshot_path(out, number) for number in snapshots)
    for path in (out, *before):
        if path.exists():
            raise StreamError(f"{path}: expected a new file, found one; pass --force to overwrite "
                              "it")


def _same_inputs(trainer, inputs, checkpoint) -> None:
    """Later stages and other betas may still need them: a run goes on with those it began with."""

    given = tuple(map(str, inputs))
    if checkpoint is not None and trainer.inputs not in (None, given):
        raise StreamError(f"{checkpoint}: expected --in {' '.join(trainer.inputs) or 'none'}, "
                          f"with which the run began, found {' '.join(given) or 'none'}")
    trainer.inputs = given


def _scalars(folder):
    """What writes a row for TensorBoard; nothing without `folder`."""
    if folder is None:
        return lambda row: None

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("--tensorboard: expected the package tensorboard, found none; "
                          "pip install tensorboard") from error
    writer = SummaryWriter(folder)

    def write(row) -> None:
        for name, value in vars(row).items():
            if value is not None:
                writer.add_scalar(name, value, row.iteration)

    return write


def _show(shown: Bar, trainer, row) -> None:
    """An iteration on the bar: dH, acceptance, plaquette, then what else there is room for."""
    facts = [f"rms dH {row.rms_log_ratio:.2f}", f"accepted {row.acceptance:.2f}"]
    if trainer.config.group != "vector":
        facts.append(f"plaquette {row.observable:.4f}")
    facts += [f"loss {row.loss:.3f}", f"beta {row.beta:.2f}"]
    if row.charge_change is not None:
        facts.append(f"|dQ| {row.charge_change:.2f}")
    if row.step_size is not None:
        facts.append(f"step {row.step_size:.3f}")
    shown.step(*facts)


def _run(trainer, checkpoint, links, write, show) -> bool:
    """Train with a progress bar, `write` every row; SIGTERM and SIGINT save and stop."""
    asked = []
    old = {s: signal.signal(s, lambda *_: asked.append(True))
           for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        progress = bar("train", trainer.iterations, trainer.iteration) if show else nullcontext()
        with progress as shown:

            def report(row):
                write(row)
                if shown is not None:
                    _show(shown, trainer, row)

            return training.run(trainer, checkpoint, training_checkpoint.save, report,
                                lambda: bool(asked), links)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
