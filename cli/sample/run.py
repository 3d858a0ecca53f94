"""The phases of `sample`: begin (thermalise, tune, quick gate), record, go on, sum up."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.cli.screen.options import device_of, parse_lattice
from l2hmc_bridge.cli.screen.progress import bar, say, summary_table, trajectory_text
from l2hmc_bridge.cli.screen.stopping import Stopper
from l2hmc_bridge.errors import BundleError, StreamError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.layout import volume
from l2hmc_bridge.gate import rows as gate
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling import tuning
from l2hmc_bridge.sampling.markov import Kernel
from l2hmc_bridge.storage import lock
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.stream import provenance, run as stream, state as checkpoint, summary
from l2hmc_bridge.stream.run import Stream
from l2hmc_bridge.stream.state import Definition
from l2hmc_bridge.systems.actions import GaugeAction

from . import start as sample_start
from .start import Start

LEFT_BEHIND = (lock.NAME, stream.LOG)  # by a run that ended before its first save point


def begin(options: dict[str, Any], stop: Stopper) -> None:
    """Check everything, make the folder, thermalise, tune, prove, and record a new stream."""
    folder = options["out"]
    set_threads(options["threads"])
    options["device"] = device = device_of(options["device"] or "cpu")
    _check_free(folder)
    seed = options["seed"] if options["seed"] is not None else secrets.randbits(32)
    if options["start"]:
        lattice = parse_lattice(options["lattice"])
        start = sample_start.from_nothing(options["start"], lattice, options["chains"] or 1, seed)
    else:
        start = sample_start.from_files(options["inputs"], options["chains"], options["beta"])
    kernel, about, action = sample_start.kernel_for(start, options["kind"], options)
    sample_start.check_fits(start, kernel)
    name, suffix = sample_start.output_format(start, options["name"])
    start.links = start.links.to(device)
    for sentence in (*start.notes, *start.record.get("warnings", [])):
        say(sentence)
    with _new_folder(folder), lock.locked(folder):
        _check_free(folder)
        factor, kernel = prepare(start, kernel, options, seed, stop)
        checks = prove(start, kernel, seed, options["ungated"])
        start.record.setdefault("warnings", [])
        definition = _definition(start, options, about, action, seed=seed, factor=factor,
                                 format=name, suffix=suffix, device=str(device))
        definition.record.update(md_length=kernel.length,
                                 checks=[check.as_dict() for check in checks])
        with stream.create(folder, definition, kernel, start.links, options["trajectories"],
                           sample_start.writer(definition)) as made:
            if about["kind"] == "l2hmc":
                with replacing(folder / stream.BUNDLE, force=True) as file:
                    file.write(Path(about["bundle"]).read_bytes())
            _record(made, stop)


def _definition(start: Start, options: dict[str, Any], about: dict[str, Any],
                action: GaugeAction, **fixed: Any) -> Definition:
    """What a stream is defined by; `fixed`: seed, factor, format, suffix, device."""
    return Definition(
        kernel=about,
        action={"name": action.name, "beta": action.beta},
        first=start.first,
        save_every=options["save_every"] or sample_start.save_every(start),
        check_reversibility=options["check_reversibility"],
        threads=torch.get_num_threads(),
        meta=[{**meta, "beta": action.beta} for meta in start.meta],
        record={
            **start.record,
            "lattice": list(xyzt(start)), "beta": action.beta,
            "provenance": {"command": options["command"], **provenance.describe()},
        },
        **fixed,
    )


def go_on(folder: Path, options: dict[str, Any], stop: Stopper) -> None:
    """Continue the stream in `folder`, which is locked."""
    definition = checkpoint.load(folder).definition
    set_threads(options["threads"] or definition.threads)
    device = device_of(options["device"] or definition.device)
    _compare(folder, definition, device)
    with stream.reopen(folder, sample_start.writer, device, options["trajectories"]) as made:
        if made.count >= made.target:
            say(f"{folder}: all of {made.target} trajectories are there already (-n asks for more)")
        _record(made, stop)


def _compare(folder: Path, definition: Definition, device: torch.device) -> None:
    """Say what keeps a continuation from being bit for bit what it would have been."""
    began = {**definition.record["provenance"], "device": definition.device}
    now = {**provenance.describe(), "device": str(device)}
    for name in ("version", "git_revision", "torch", "compute", "device"):
        one, other = (str(of.get(name)).split(",")[0] for of in (began, now))
        if one != other:
            say(f"{folder}: it began with {name} {one}, it goes on with {other}: as exact as "
                "before, but perhaps not the same bits")


def _record(made: Stream, stop: Stopper) -> None:
    """Run to the target or a reason to stop; then history, summary, and the table."""
    stop.restart()
    with bar("sample", made.target, made.count) as shown:
        why = made.advance(stop.why, lambda row: shown.step(trajectory_text(row)))
    made.save_history()
    result = summary.summarise(made.definition, made.rows, made.target)
    summary.write(made.folder, result)
    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, 130))
    console.print(summary_table(result, f"{made.folder}"))
    for sentence in result["warnings"]:
        say(f"warning: {sentence}")
    if why is not None:
        say(f"stopped {why} after {made.count} of {made.target} trajectories, all saved; "
            f"`l2hmc-bridge sample --in {made.folder} --resume` finishes them")


def prepare(
    start: Start, kernel: Kernel, options: dict[str, Any], seed: int, stop: Stopper
) -> tuple[float, Kernel]:
    """Thermalise the start, tune on a copy: the factor, and the kernel scaled by it."""
    chains = start.links.shape[0]
    count = options["thermalise"]
    count = count if count is not None else (tuning.TRAJECTORIES if options["start"] else 0)
    if count:
        found = _phase("thermalise", kernel, start, count, stop,
                       lambda number: stream.reserved(seed, chains, stream.THERMALISATION, number))
        start.links, start.plaquette = su3.project_group(found.links), None
    start.record["thermalised"] = count
    start.record["tuning_trajectories"] = options["tune"]
    if not options["tune"]:
        return 1.0, kernel
    found = _phase("tune", kernel, start, options["tune"], stop,
                   lambda number: stream.reserved(seed, chains, stream.TUNING, number))
    scaled = kernel.scaled(found.factor)
    say(f"tuned on a copy: all steps times {found.factor:.4g}, MD length {scaled.length:.4g}")
    return found.factor, scaled


def _phase(
    title: str, kernel: Kernel, start: Start, count: int, stop: Stopper,
    generators: Callable[[int], Any],
) -> tuning.Tuning:
    """Trajectories that are not recorded; StreamError when stopped among them."""
    stop.restart()
    reason: list[str] = []
    with bar(title, count) as shown:

        def report(number: int, factor: float, delta: Any) -> bool:
            shown.step(f"steps x {factor:.4g}  dH {sum(delta) / len(delta):+.3f}")
            reason.extend(filter(None, [stop.why()]))
            return bool(reason)

        found = tuning.tune(kernel, start.links, count, generators, report)
    if reason:
        raise StreamError(f"stopped {reason[0]} before the first recorded trajectory: there is "
                          "nothing to resume")
    return found


def prove(start: Start, kernel: Kernel, seed: int, ungated: bool) -> list[Check]:
    """Group, inverse and action at the start, with the tuned steps; BundleError where one fails."""
    links = start.links[:1]
    generator = stream.reserved(seed, 1, stream.GATE)
    if isinstance(kernel, L2HMC):
        checks = gate.quick(kernel, links, generator[0])
    else:
        defect = stream.reversibility_defect(kernel, kernel.init(links), generator)
        checks = [Check("inverse: U forth and back", defect, 0, summary.REVERSIBILITY_BOUND,
                        "exact law")]
    if start.plaquette is not None and kernel.action.c1 == 0 and kernel.action.beta:
        ours = float(kernel.action(links)) / (-6 * kernel.action.beta * volume(links))
        checks.append(Check("action / (-6 beta V) against the plaquette read", ours,
                            start.plaquette, 1e-6, start.name))
    failed = [check for check in checks if not check.passed]
    for check in failed:
        sentence = (f"{start.name}: {check.name}: expected {check.theirs:.6g} within "
                    f"{check.tolerance:g}, found {check.ours:.6g}")
        if not ungated:
            raise BundleError(f"{sentence} (--ungated records a stream all the same)")
        start.record.setdefault("warnings", []).append(sentence)
    return checks


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make `folder` if need be; remove it again where an error leaves it without a stream."""
    _check_free(folder)
    made = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StreamError(f"{folder}: could not be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        if not checkpoint.exists(folder):
            (folder / stream.LOG).unlink(missing_ok=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _check_free(folder: Path) -> None:
    """Raise StreamError unless `folder` is absent or empty."""
    if not folder.parent.is_dir():
        raise StreamError(f"{folder}: expected the folder {folder.parent} to exist (--out), found "
                          "none")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StreamError(f"{folder}: expected a new folder (--out), found a file")
    if checkpoint.exists(folder):
        raise StreamError(f"{folder}: expected a new folder (--out), found a stream; "
                          f"`--in {folder} --resume` goes on with it")
    other = sorted(path.name for path in folder.iterdir()
                   if path.name not in LEFT_BEHIND and not stream.PARTIAL.fullmatch(path.name))
    if other:
        raise StreamError(f"{folder}: expected a new or empty folder (--out), found {other[0]}")


def set_threads(count: int | None) -> None:
    if count is not None:
        torch.set_num_threads(count)


def xyzt(start: Start) -> tuple[int, ...]:
    nt, nx, ny, nz = start.links.shape[2:6]
    return nx, ny, nz, nt
