"""`l2hmc-bridge measure`: observables of configurations, on screen or machine-readable."""

from pathlib import Path

import click

from l2hmc_bridge.cli.screen import hints
from l2hmc_bridge.cli.screen.options import Computing, Number, reading, reading_of
from l2hmc_bridge.cli.screen.sharing import ranks_option, sharing
from l2hmc_bridge.cli.screen.voice import speaking, wrote

SCREEN = {"plaquette": "plaquette", "spatial": "plaquette_spatial",
          "temporal": "plaquette_temporal", "link trace": "link_trace",
          "a^4 E": "energy_density", "Q": "topological_charge",
          "Q (5 loops)": "topological_charge_5li"}
LOOP = "Polyakov loop"


@click.command(cls=Computing, short_help="Measure observables on configurations.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="FILE|STREAM...")
@click.option("--flow-time", default=0.0, help="Flow up to this time, in units of a^2; 0: none.")
@click.option("--flow-step", default=0.02, show_default=True, help="Step of the flow.")
@click.option("--flow-every", type=Number(), help="Measure at multiples of this time [about 0.1].")
@click.option("--flow-kernel", type=click.Choice(["wilson", "symanzik", "zeuthen"]),
              default="wilson", show_default=True)
@click.option("--flow-tolerance", type=Number(), help="Adapt the step to this error per step.")
@click.option("--convention", type=click.Choice(["traceless", "gpt"]), default="traceless",
              show_default=True, help="gpt keeps the trace of the field strength, as GPT and Grid.")
@click.option("--smear", type=click.Choice(["stout", "ape"]), help="Also measure after smearing.")
@click.option("--smear-parameter", default=0.1, show_default=True, help="rho (stout), alpha (ape).")
@click.option("--smear-steps", default=10, show_default=True, type=click.IntRange(1))
@click.option("--wilson-loops", type=click.IntRange(0, 16), default=0, metavar="N",
              help="Also W(R,T) up to N x N.")
@click.option("--json", "json_out", is_flag=False, flag_value="-", metavar="[OUT]",
              help="Write JSON, to standard output or to OUT, in place of the table.")
@click.option("--csv", "csv_out", is_flag=False, flag_value="-", metavar="[OUT]",
              help="Write CSV, to standard output or to OUT, in place of the table.")
@click.option("--h5", type=click.Path(path_type=Path), metavar="OUT",
              help="Write HDF5 to OUT, in place of the table.")
@click.option("--extend", is_flag=True, help="Add the values to each STREAM's history.h5.")
@click.option("--force", is_flag=True, help="Replace an output file that is already there.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda[:N].")
@click.option("--no-verify", is_flag=True, help="Measure files that fail their own checks too.")
@ranks_option
@speaking
@reading("--format")
def command(paths, json_out, csv_out, h5, extend, force, jobs, device, no_verify, ranks,
            **options):
    """Measure plaquettes, loops, energy density and topological charge of configurations.

    A STREAM is a folder of configurations. The table has the plaquettes (mean of Re tr P / 3), the
    link trace (mean of Re tr U / 3), the Polyakov loop (tr / 3, time direction), a^4 E and Q by the
    clover and by five loops; with --flow-time t0 / a^2, w0 / a and the last flow time. Everything,
    all flow times too, goes to --json, --csv and --h5.

    Exit status 1 when a file could not be measured; the others are still measured and written.
    """
    from l2hmc_bridge.adapters.files import sources as configurations
    from l2hmc_bridge.cli.screen.outputs import refuse_early, settle

    paths, json_out = settle(paths, json_out, ".json")
    paths, csv_out = settle(paths, csv_out, ".csv")
    if not paths:
        raise click.UsageError("expected at least one FILE or STREAM")
    if extend and not any(path.is_dir() for path in paths):
        raise click.UsageError("--extend needs a STREAM, found files")
    if options["flow_every"] is not None and not options["flow_time"]:
        raise click.UsageError("--flow-every: expected --flow-time with it")
    refuse_early([json_out, csv_out, h5], force)
    plan = _plan(options)
    how = reading_of(options, verify=not no_verify)
    sources = configurations.find(paths, how)
    if ranks is not None and jobs > 1:
        raise click.UsageError("--ranks: expected no --jobs: the ranks are processes already")
    with sharing(ranks, device) as crew:
        measured, errors = _measure(sources, plan, jobs, how, crew)

        def written():
            _write(paths, measured, errors, (json_out, csv_out, h5), extend, force)
            return int(bool(errors))

        return crew.made(written)


def _write(paths, measured, errors, outputs, extend, force):
    """What was measured goes to where the options say."""
    from l2hmc_bridge.adapters.records import measured as records
    from l2hmc_bridge.cli.screen.outputs import emit, warn

    json_out, csv_out, h5 = outputs
    warn([*_gaps(paths, measured), *_wound(measured)])
    emit(json_out, records.to_json(measured), force)
    emit(csv_out, records.to_csv(measured), force)
    if h5:
        records.write_h5(h5, measured, force)
        wrote(h5)
    if extend:
        _extend(paths, measured, errors)
    if measured and not any(outputs):
        _show(measured)


def _plan(options):
    from l2hmc_bridge.observables.plan import Plan

    return Plan(
        flow_time=options["flow_time"],
        flow_step=options["flow_step"],
        flow_every=options["flow_every"],
        kernel=options["flow_kernel"],
        tolerance=options["flow_tolerance"],
        traceless=options["convention"] == "traceless",
        smear=options["smear"],
        smear_parameter=options["smear_parameter"],
        smear_steps=options["smear_steps"],
        wilson_loops=options["wilson_loops"],
    )


def _measure(sources, plan, jobs, how, crew):
    """Records in the order of the sources, and errors; bar and warnings on standard error."""
    from l2hmc_bridge.adapters.files.measure_files import measure_all, measure_shared
    from l2hmc_bridge.cli.screen.outputs import warn
    from l2hmc_bridge.cli.screen.progress import bar
    from l2hmc_bridge.cli.screen.voice import say, warn as tell

    if crew.note:
        say(crew.note)
    measured, errors, warnings = [], [], []
    with bar("measure", len(sources), transient=True) as shown:
        for found, failed, told in (
                measure_all(sources, plan, jobs, how, crew.device) if crew.alone
                else measure_shared(sources, plan, how, crew)):
            measured.extend(found)
            errors.extend(failed)
            warnings.extend(told)
            shown.step(count=len(found) + len(failed))
    warn(warnings)
    for error in errors:
        tell(hints.here(error))
    return measured, errors


def _gaps(paths, measured):
    """What is missing among the trajectory numbers of each folder."""
    import numpy as np

    from l2hmc_bridge.analysis import numbers

    for path in (path for path in paths if path.is_dir()):
        chains: dict[int, set[int]] = {}
        for record in measured:
            if Path(record["path"]).is_relative_to(path) and record["trajectory"] is not None:
                chains.setdefault(record["chain"], set()).add(record["trajectory"])
        told = numbers.gaps([np.array(sorted(chains[chain])) for chain in sorted(chains)])
        if told:
            yield f"{path}: {told}"


def _wound(measured):
    """That Wilson loops are longer than a lattice, whose links they then go round."""
    for record in measured:
        longest, least = len(record.get("wilson_loops", ())), min(record["lattice"])
        if longest >= least:
            yield (f"{record['path']}: Wilson loops up to {longest} x {longest}, found an extent "
                   f"of {least}: as long ones and longer wind around the lattice")


def _extend(paths, measured, errors):
    from l2hmc_bridge.adapters.records import measured as records
    from l2hmc_bridge.cli.screen.voice import warn

    if errors:
        warn("no history was extended: a configuration is missing")
        return
    for path in paths:
        own = [r for r in measured if Path(r["path"]).is_relative_to(path)]
        if path.is_dir() and own:
            records.extend_history(path / "history.h5", own)


def _show(measured):
    from l2hmc_bridge.cli.screen.tables import present

    for columns, rows in _tables(measured):
        present(columns, rows)


def _tables(measured):
    """(columns, rows): the configurations; flow, smeared values, loops where measured."""
    from l2hmc_bridge.analysis.validation import label

    named = [(label(record), record) for record in measured]
    yield ("configuration", *SCREEN, LOOP), (
        [name, *(f"{record[key]:.8f}" for key in SCREEN.values()),
         _complex(record["polyakov_loop"])] for name, record in named)
    yield ("configuration", "t0 / a^2", "w0 / a", "t / a^2", "plaquette(t)", "a^4 E(t)", "t^2 E(t)",
           "Q(t)"), (
        [name, *(f"{record[key]:.6f}" if record[key] else "not reached" for key in ("t0", "w0")),
         *_point(record["flow"][-1])] for name, record in named if record["flow"])
    yield ("configuration, smeared", "plaquette", "a^4 E", "Q"), (
        [name, *(f"{number:.8f}" for number in record["smeared"].values())]
        for name, record in named if "smeared" in record)
    largest = len(measured[0].get("wilson_loops", ()))
    yield ("configuration, W(R,T)", "R / a", *(f"T = {t} a" for t in range(1, largest + 1))), (
        [name, str(r), *(f"{number:.8f}" for number in line)]
        for name, record in named for r, line in enumerate(record.get("wilson_loops", ()), 1))


def _complex(number):
    return f"{number[0]:+.8f} {number[1]:+.8f} i"


def _point(point):
    t, energy = point["t"], point["energy_density"]
    return (f"{t:g}", f"{point['plaquette']:.8f}", f"{energy:.8f}", f"{t * t * energy:.6f}",
            f"{point['topological_charge']:.6f}")
