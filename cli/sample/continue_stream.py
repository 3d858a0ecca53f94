"""`sample --continue`: the next configuration of a stream that a production code keeps as files.

The order of writing: the line of l2hmc_bridge.jsonl, the configuration, the side files. Killed
anywhere, the host's former configuration and its side files are as they were, and the same command
(after removing what it names) gives the same bits again: the line holds the seed.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.hosts import refuse
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.streams import couplings, names as host_streams, side_files
from l2hmc_bridge.adapters.streams.names import HostStream
from l2hmc_bridge.cli.screen.progress import bar, say, trajectory_text
from l2hmc_bridge.cli.screen.stopping import Stopper
from l2hmc_bridge.errors import StreamError, VerificationError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.sampling.markov import Kernel
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import provenance, run as stream
from l2hmc_bridge.stream.state import Definition

from . import run as sample_run, start as sample_start
from .start import Start

# What a call without these options takes from the last one on the same stream.
KEPT = ("kind", "bundle", "action", "beta", "integrator", "step_size", "steps", "seed")


def run(options: dict[str, Any], given: set[str], stop: Stopper) -> None:
    """Run -n trajectories from --continue and write what the host goes on from.

    given: names of the options that stand on the command line. Raises BridgeError, with nothing
    written, where anything does not fit.
    """
    path = options["continued"]
    sample_run.set_threads(options["threads"])
    options["device"] = sample_run.device_of(options["device"] or "cpu")
    options["thermalise"] = 0
    host = host_streams.recognise(path, files.header(path))
    folders = [host.folder, *options["side_files"]]
    with lock.locked(host.folder):
        before = host_log.last(host.folder, host.name)
        options |= _remembered(before, given)
        number = host.number + (options["trajectories"] or 1)
        host_streams.refuse_later(host, folders)
        start = _start(path, options["beta"])
        host = host_streams.recognise(path, start.read)  # the links may have told more
        sides, notes = side_files.plan(host, number, sample_run.xyzt(start), folders)
        start.notes += notes
        stated = start.stated.get(start.name) if options["beta"] is None else options["beta"]
        if stated is not None:
            couplings.require_beta(host, folders, float(stated))
        if options["seed"] is None:
            options["seed"] = secrets.randbits(32)
        kernel, definition = _definition(host, start, options, given, before, stop)
        state, rows = _trajectories(host, start, kernel, definition, number, stop)
        host_streams.refuse_later(host, folders)
        said = [f"{side.path}: {side.said}" for side in sides]
        host_log.append(host.folder, _entry(host, number, definition, rows, options, said))
        _write(host, number, start, definition, state.links)
        for side in sides:
            side_files.write(side)
    _show(host, number, rows, [*said, *start.record.get("warnings", [])])


def _start(path: Path, beta: float | None) -> Start:
    """The verified configuration; links that are fixed, open or carry phases are named as such."""
    try:
        start = sample_start.from_files((path,), None, beta)
    except VerificationError as error:
        if "determinant: " in str(error):
            refuse.require_periodic_su3(str(path), files.read(path, verify=False).links)
        raise
    refuse.require_periodic_su3(str(path), start.links)
    return start


def _remembered(before: Mapping[str, Any] | None, given: set[str]) -> dict[str, Any]:
    """The options of the last call on this stream that are not given now."""
    stored = {} if before is None else before["options"]
    return {name: stored[name] for name in KEPT if name in stored and name not in given}


def _definition(
    host: HostStream, start: Start, options: dict[str, Any], given: set[str],
    before: Mapping[str, Any] | None, stop: Stopper,
) -> tuple[Kernel, Definition]:
    """The kernel with its steps tuned, now or by an earlier call, proved at the start."""
    kernel, about, action = sample_start.kernel_for(start, options["kind"], options)
    sample_start.check_fits(start, kernel)
    for sentence in start.notes:  # everything that could be refused without work was
        say(sentence)
    say(f"{host.name}: sampled with the {action.name} action at beta {action.beta:g}, no quarks: "
        "right only if that is what the host samples")
    start.links = start.links.to(options["device"])
    lattice, coupling = list(sample_run.xyzt(start)), {"name": action.name, "beta": action.beta}
    if before is not None and "tune" not in given and _same(before, about, coupling, lattice):
        factor, kernel = before["factor"], kernel.scaled(before["factor"])
        say(f"as before on this stream ({host_log.NAME}): all steps times {factor:.4g}, seed "
            f"{options['seed']} (--tune tunes anew)")
    else:
        factor, kernel = sample_run.prepare(start, kernel, options, options["seed"], stop)
    checks = sample_run.prove(start, kernel, options["seed"], options["ungated"])
    return kernel, Definition(
        seed=options["seed"],
        kernel=about,
        action=coupling,
        factor=factor,
        first=[host.number],
        save_every=1,
        suffix="",
        format=host.format,
        device=str(options["device"]),
        threads=torch.get_num_threads(),
        meta=[{**start.meta[0], "beta": action.beta}],
        record={**start.record, "lattice": lattice, "md_length": kernel.length,
                "checks": [check.as_dict() for check in checks],
                "provenance": {"command": options["command"], **provenance.describe()}},
    )


def _same(
    before: Mapping[str, Any], about: Mapping[str, Any], action: Mapping[str, Any],
    lattice: list[int],
) -> bool:
    """Whether the last call on this stream tuned this kernel for this action and lattice."""
    nowhere = {"bundle": None}  # wherever the file of the bundle lies: its hash tells
    return ({**before["kernel"], **nowhere}, before["action"], before["lattice"]) == (
        {**about, **nowhere}, action, lattice)


def _trajectories(
    host: HostStream, start: Start, kernel: Kernel, definition: Definition, number: int,
    stop: Stopper,
) -> tuple[Any, list[Mapping[str, Any]]]:
    """The state after trajectories host.number + 1 .. number, and their rows."""
    made = stream.Stream(host.folder, definition, kernel, kernel.init(start.links),
                         number - host.number, _no_writer, None, [])
    stop.restart()
    with torch.no_grad(), bar("continue", made.target) as shown:
        while made.count < made.target:
            made.rows.append(made.reunitarise(made.trajectory()))
            shown.step(trajectory_text(made.rows[-1]))
            why = stop.why()
            if why is not None and made.count < made.target:
                raise StreamError(f"{host.path(number)}: stopped {why} after {made.count} of "
                                  f"{made.target} trajectories: nothing was written")
    return made.state, made.rows


def _no_writer(path: Path, _configuration: Configuration) -> None:
    raise StreamError(f"{path}: expected to be written by the host's own format alone")


def _entry(
    host: HostStream, number: int, definition: Definition, rows: list[Mapping[str, Any]],
    options: Mapping[str, Any], said: list[str],
) -> dict[str, Any]:
    """The line of the log."""
    kept = {name: options[name] for name in KEPT}
    return {
        "stream": host.name,
        "code": host.scheme.name,
        "from": host.path(host.number).name,
        "to": host.path(number).name,
        "options": {**kept, "bundle": None if kept["bundle"] is None else str(kept["bundle"])},
        "seed": definition.seed,
        "kernel": definition.kernel,
        "action": definition.action,
        "factor": float(definition.factor),
        "lattice": definition.record["lattice"],
        "rows": rows,
        "side_files": said,
        "record": definition.record,
    }


def _write(
    host: HostStream, number: int, start: Start, definition: Definition, links: torch.Tensor
) -> None:
    path = host.path(number)
    meta = sample_start.renamed({**definition.meta[0], "trajectory": number}, path.name)
    files.write(path, Configuration(links.cpu(), meta), format=host.format, **host.options)


def _show(
    host: HostStream, number: int, rows: list[Mapping[str, Any]], sentences: list[str]
) -> None:
    for row in rows:
        click.echo(trajectory_text(row))
    told = ", ".join(f"{name} {value}" for name, value in host.options.items())
    click.echo(f"{host.path(number)}: written, the next of {host.scheme.name} ({host.format}"
               f"{', ' + told if told else ''}); record in {host_log.NAME}")
    for sentence in sentences:
        say(sentence)
