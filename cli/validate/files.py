"""The two uses of `validate` that look at configurations: stored values, reference tables."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.cli.screen import hints
from l2hmc_bridge.cli.screen.options import reading_of

if TYPE_CHECKING:
    from l2hmc_bridge.ranks.crew import Crew


class Extra(NamedTuple):
    """What comes with the checks: sentences, side tables, JSON content, pictures on demand.

    about: what is known of each stream; warnings: what a person should not overlook.
    """

    notes: list[str]
    tables: list[tuple[tuple[str, ...], list[tuple]]]
    content: dict[str, Any]
    figures: Callable[[], dict] | None = None
    about: tuple[list[tuple[str, str]], ...] = ()
    warnings: tuple[str, ...] = ()


def compare(
    paths: tuple[Path, ...], options: dict[str, Any], crew: "Crew"
) -> tuple[str, list[Check], Extra]:
    """Checks of the configurations in `paths`, which the ranks of `crew` read together."""
    if options["reference"]:
        return _against_table(paths, options, crew)
    return _against_themselves(paths, options, crew)


def _against_themselves(paths, options, crew):
    """Our values against those stored in each file, and in the history of a stream."""
    from l2hmc_bridge.adapters.files import sources as configurations
    from l2hmc_bridge.adapters.format.checks import accepted, sentences
    from l2hmc_bridge.analysis.validation import label
    from l2hmc_bridge.errors import BridgeError

    checks, how = [], reading_of(options)
    notes: list[str] = []
    for source in configurations.find(paths, how):
        named = {} if source.index is None else {"index": source.index}
        name = label({"path": source.path, **named})
        try:
            with how.shared(crew, source.path, source.index):
                meta = accepted(how.inspect(source.path, source.index).meta, how.accept)
        except BridgeError as error:
            checks.append(Check(f"{name}: readable", 0.0, 1.0, 0.0, hints.here(str(error))))
            continue
        checks.extend(_stored(name, meta))
        notes.extend(f"{name}: {sentence}"
                     for sentence in (*sentences(meta["checks"]), *meta["warnings"]))
    for path in paths:
        if (path / "history.h5").is_file():
            checks.extend(_against_history(path, options, crew))
    return "Files against themselves", checks, Extra(notes, [], {})


def _stored(name, meta):
    """The reader's own checks as rows; text (a checksum) counts as 0 if it agrees."""
    for item in meta["checks"]:
        if item["status"] == "accepted":
            continue  # a note says so
        value, expected = item["value"], item["expected"]
        if isinstance(value, str) or isinstance(expected, str):
            wrong = float(item["status"] == "fail")
            said = f"stored {expected}" if expected is not None else "none stored"
            yield Check(f"{name}: {item['name']}", wrong, 0.0, 0.0, f"computed {value}, {said}")
        else:
            source = "stored in the file" if expected is not None else "bound on the value"
            source = item.get("why", source)
            yield Check(f"{name}: {item['name']}", float(value), float(expected or 0.0),
                        float(item["tolerance"]), source)


def _against_history(path, options, crew):
    """Each configuration of a stream against the row of its trajectory in history.h5."""
    from l2hmc_bridge.adapters.files import sources as configurations
    from l2hmc_bridge.adapters.records.history import rows_by_trajectory
    from l2hmc_bridge.analysis import validation

    found = rows_by_trajectory(path / "history.h5")
    how = reading_of(options)
    records = _measure(configurations.find([path], how), _plan(options, [], True), how, crew)
    checks = []
    for chain in sorted(found):
        own = [record for record in records if record["chain"] == chain]
        checks.extend(validation.compare(own, found[chain], extra_allowed=True,
                                         tolerance=options["tolerance"]))
    return checks


def _against_table(paths, options, crew):
    from l2hmc_bridge.adapters.files import sources as configurations
    from l2hmc_bridge.adapters.logs.table import read_log
    from l2hmc_bridge.analysis import validation

    how = reading_of(options)
    sources = configurations.find(paths, how)
    log = read_log(options["reference"], _lattice_of(sources[0], how))
    references = log.references
    traceless = _traceless(options, references)
    records = _measure(sources, _plan(options, references, traceless), how, crew)
    checks = validation.compare(records, references, options["partial"], options["tolerance"])
    if validation.clover_failed(checks):
        others = _measure(sources, _plan(options, references, not traceless), how, crew)
        checks = validation.other_convention(checks, others, traceless)
    notes = [f"{len(records)} configurations, {len(references)} in {options['reference']} "
             f"({references[0].source}); field strength "
             f"{'traceless' if traceless else 'with its trace, as GPT and Grid'}"]
    notes += [f"{options['reference']}: {remark}" for remark in log.remarks]
    if unknown := [*validation.not_compared(records, references), *log.ignored]:
        notes.append(f"in {options['reference']}, but not measured here and not compared: "
                     f"{', '.join(unknown)}")
    return f"Against {options['reference']}", checks, Extra(notes, [], {})


def _traceless(options, references):
    if options["convention"]:
        return options["convention"] == "traceless"
    stated = {reference.traceless for reference in references} - {None}
    return stated != {False}


def _plan(options, references, traceless):
    """Measure what the references hold, at their own flow times, with their own step."""
    from l2hmc_bridge.observables.plan import Plan

    times = sorted({time for reference in references for time in reference.flow})
    steps = [reference.flow_step for reference in references if reference.flow_step]
    kernels = [reference.flow_kernel for reference in references if reference.flow_kernel]
    step = options["flow_step"] or (steps[0] if steps else 0.02)
    bounds = [reference.flow_tolerance for reference in references if reference.flow_tolerance]
    tolerance = bounds[0] if bounds and not options["flow_step"] else None
    return Plan(flow_time=times[-1] if times else 0.0, flow_step=step, points=tuple(times),
                kernel=kernels[0] if kernels else "wilson", tolerance=tolerance,
                traceless=traceless, any_step=bool(steps) and not options["flow_step"])


def _measure(sources, plan, how, crew):
    from l2hmc_bridge.adapters.files.measure_files import measure_all, measure_shared
    from l2hmc_bridge.cli.screen.outputs import warn
    from l2hmc_bridge.cli.screen.voice import warn as tell

    records, errors, warnings = [], [], []
    for found, failed, told in (measure_all(sources, plan, 1, how) if crew.alone
                                else measure_shared(sources, plan, how, crew)):
        records.extend(found)
        errors.extend(failed)
        warnings.extend(told)
    warn(warnings)
    for error in errors:
        tell(hints.here(error))
    if errors:
        raise click.exceptions.Exit(1)
    return records


def _lattice_of(source, how):
    extents = how.header(source.path, source.index).get("lattice")
    return tuple(extents) if extents else None
