"""`train` on a host: a training file with a key `host`, see l2hmc_bridge/training/nested/."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.files.table import read as read_configuration
from l2hmc_bridge.analysis.check import Check, all_passed
from l2hmc_bridge.analysis.statistics import with_error
from l2hmc_bridge.bundle import nested as bundle, store
from l2hmc_bridge.cli.screen.progress import bar, spinner
from l2hmc_bridge.cli.screen.tables import sentence, show_checks
from l2hmc_bridge.cli.screen.voice import warn, wrote
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.gate import nested as gate
from l2hmc_bridge.gate.report import check_nested
from l2hmc_bridge.sampling.draws import trajectory_generator
from l2hmc_bridge.training.nested import checkpoint as saved, loop, outcome
from l2hmc_bridge.training.nested.config import NestedConfig, parse
from l2hmc_bridge.training.nested.host import find

GATE = 904  # a chain of random numbers that training does not use


def train_on_host(path: str, table: Mapping[str, Any], options: Mapping[str, Any],
                  provenance: dict[str, Any]) -> None:
    """Train, validate, write the bundle, prove it on stand-ins and on the host itself."""
    try:
        config = parse(table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if options["tensorboard"] or options["device"] != "cpu":
        raise ConfigError(f"{path}: expected neither --tensorboard nor --device with a host, which "
                          "computes where it likes")
    out = Path(options["out"])
    checkpoint = Path(f"{out}.checkpoint")
    with _found_from_here():
        host = find(config)
    if options["resume"]:
        run = saved.load(config, host, checkpoint)
    else:
        with spinner("thermalise") as say:
            say("links of the host")
            run = loop.begin(config, host, _links(config, options["inputs"]))
    if not _iterate(run, checkpoint):
        warn(f"stopped at iteration {run.iteration}; --resume goes on")
        return
    with spinner("validate against the starting point"):
        found = outcome.finish(run, out, provenance)
    gain = with_error(found["gain"], found["gain_error"])
    sentence(f"{found['score']}: {gain} x the start; kept: {found['kept']}")
    if options["gated"]:
        _prove(run, out)
    checkpoint.unlink(missing_ok=True)
    wrote(out)


def _iterate(run: loop.Run, checkpoint: Path) -> bool:
    """Train, a line for every iteration and a checkpoint after it; SIGINT and SIGTERM stop it."""
    asked: list[bool] = []
    old = {s: signal.signal(s, lambda *_: asked.append(True))
           for s in (signal.SIGINT, signal.SIGTERM)}

    try:
        with bar("train", run.config.iterations, run.iteration) as shown:

            def report(row: loop.Row) -> None:
                saved.save(run, checkpoint)
                shown.step(f"rms dH {row.rms_log_ratio:.2f}", f"accepted {row.acceptance:.2f}",
                           f"plaquette {float(fast.plaquettes(run.links).mean()):.4f}",
                           "improved" if row.improved else "no better step",
                           f"{row.seconds:.0f} s")

            return loop.train(run, report, lambda: bool(asked))
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _prove(run: loop.Run, out: Path) -> None:
    """Rows on stand-ins and on the host, stored in the bundle; exit status 1 if one fails."""
    loaded = bundle.load(out)
    with spinner("gate") as say:
        checks, report = check_nested(out, progress=say)
        rows = [Check(f"on the host: {row.name}", *row[1:]) for row in gate.on_host(
            loaded.on(run.host), run.links, trajectory_generator(run.config.seed, GATE, 0))]
    report = {**report, "passed": all_passed([*checks, *rows]),
              "checks": [check.as_dict() for check in (*checks, *rows)]}
    show_checks([*checks, *rows], f"{out}  hash {report['hash'][:12]}")
    store.write_gate(out, report, store.NESTED)
    if not report["passed"]:
        click.get_current_context().exit(1)


def _links(config: NestedConfig, inputs: Sequence[str]) -> Tensor | None:
    """The given configurations, one a chain in turn; None without any."""
    if not inputs:
        return None
    fields = [su3.project_group(read_configuration(Path(path)).links) for path in inputs]
    return torch.cat([fields[n % len(fields)] for n in range(config.chains)])


@contextmanager
def _found_from_here() -> Iterator[None]:
    """The present folder, where a user's own modules lie, among those that imports look into."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
