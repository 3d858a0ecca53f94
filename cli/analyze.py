"""`l2hmc-bridge analyze`: what a stream's numbers are worth."""

from pathlib import Path

import click

from l2hmc_bridge.cli.screen.options import spelled
from l2hmc_bridge.cli.screen.voice import warn, wrote


@click.command(short_help="Analyze a stream: errors and autocorrelations.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path),
                metavar="STREAM|H5|CSV|JSON...")
@click.option("--cut", type=click.IntRange(0), help="Trajectories to drop [automatic].")
@click.option("--json", "json_out", is_flag=False, flag_value="-", metavar="[OUT]",
              help="Write JSON, to standard output or to OUT, in place of the table.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html",
              help="Write one self-contained HTML page.")
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Write the pictures into FOLDER.")
@click.option("--picture-format", type=click.Choice(["png", "svg"]), default="png",
              show_default=True)
@click.option("--export", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.json.gz",
              help="Write the series after the cut as observables of pyerrors.")
@click.option("--force", is_flag=True, help="Replace output that is already there.")
@click.pass_context
def command(context, paths, cut, json_out, report, plots, picture_format, export, force):
    """Means with Gamma-method errors, tau_int with its error, acceptance and topology.

    tau_int is 1/2 + sum rho (pyerrors), in trajectories. What the samples cannot resolve is
    called "not resolvable". Sectors and tunnelling are those of a flowed charge (`measure
    --flow-time`, `--extend`). Each path is a stream of its own.
    """
    import json

    from l2hmc_bridge.adapters.records.history import read_history
    from l2hmc_bridge.analysis.estimates import analyse
    from l2hmc_bridge.cli.screen.outputs import emit, refuse_early, settle

    paths, json_out = settle(paths, json_out, ".json")
    if not paths:
        raise click.UsageError("expected at least one STREAM, H5, CSV or JSON file")
    refuse_early([json_out, report, export], force)
    histories = [read_history(path) for path in paths]
    results = [analyse(history, cut) for history in histories]
    emit(json_out, json.dumps([one.as_dict() for one in results], indent=1), force)
    if plots:
        _write_pictures(plots, histories, results, picture_format, force)
    if report:
        emit(str(report), _page(histories, results, picture_format, spelled(context)), force)
    if export:
        _export(export, histories, results, force)
    for result in results:
        if json_out is None:
            _show(result)
        for told in result.warnings:
            warn(f"warning: {result.name}: {told}")


def rows(result):
    """Table rows of one analysis: observable, mean, tau_int, samples, note."""
    from l2hmc_bridge.analysis.statistics import with_error

    estimates = dict(result.observables)
    samples = dict(result.samples)
    if result.exp_minus_dh is not None:
        estimates["<exp(-dH+log|J|)>"] = result.exp_minus_dh
        samples["<exp(-dH+log|J|)>"] = samples["delta_h"]
    if result.topology is not None:
        count = samples[result.topology.which]
        if result.topology.tunnelling_rate is not None:
            estimates["tunnelling rate"] = result.topology.tunnelling_rate
        squared = "<Q^2>" if result.topology.flowed else "<Q^2>, not flowed"
        estimates[squared] = result.topology.charge_squared
        samples |= {"tunnelling rate": count, squared: count}
    for name, one in result.scales.items():
        estimates[name], samples[name] = one, "flow"
    for name, one in estimates.items():
        tau = with_error(one.tau_int, one.tau_int_error) if one.resolved else ""
        yield name, with_error(one.value, one.error), tau, samples[name], (
            "constant" if "constant series" in one.note else one.note)


def notes(result):
    """Sentences about one analysis."""
    yield (f"{result.chains} chain(s) of {result.trajectories} trajectories, "
           f"the first {result.cut} dropped")
    if result.gaps:
        yield result.gaps
    if result.not_finite:
        yield f"{result.not_finite} entries of dH are not finite: counted as 0 in <exp>"
    if result.topology is not None:
        yield _sectors(result.topology)
    for name, number in result.effective.items():
        yield f"effective samples, {name.replace('_per_', ' per ').replace('_', ' ')}: {number:.4g}"


def _sectors(topology):
    """What the charge says of sectors, or why it says nothing."""
    far = f"rms distance from integers {topology.distance:.2g}, 0.29 without sectors"
    if topology.histogram:
        counts = ", ".join(f"{q}: {n}" for q, n in sorted(topology.histogram.items()))
        return f"nearest integers of {topology.which}: {counts}; {far}"
    flowed = "flowed too little" if topology.flowed else "not flowed"
    return (f"{topology.which} is {flowed} ({far}): no sectors, no tunnelling are counted "
            "(`measure --flow-time` flows it)")


COLUMNS = ("observable", "mean", "tau_int [trajectories]", "samples", "note")


def _show(result):
    from l2hmc_bridge.cli.screen.tables import present, sentence

    present(COLUMNS, (tuple(map(str, row)) for row in rows(result)), result.name, prose=("note",))
    for note in notes(result):
        sentence(note)


def _page(histories, results, kind, made):
    from l2hmc_bridge.analysis import report
    from l2hmc_bridge.analysis.about import run_of
    from l2hmc_bridge.analysis.plots import stream_figures

    sections = []
    for history, result in zip(histories, results, strict=True):
        sections += [report.heading(result.name), report.described(run_of(history)),
                     *map(report.warning, result.warnings), *map(report.paragraph, notes(result)),
                     report.table(COLUMNS, rows(result)),
                     report.pictures(stream_figures(history, result), kind)]
    return report.page("Stream analysis", sections, made)


def _write_pictures(folder, histories, results, kind, force):
    from l2hmc_bridge.analysis.plots import render, stream_figures
    from l2hmc_bridge.storage.atomic import replacing

    folder.mkdir(parents=True, exist_ok=True)
    for number, (history, result) in enumerate(zip(histories, results, strict=True)):
        prefix = f"{number}_" if len(results) > 1 else ""
        for name, figure in stream_figures(history, result).items():
            path = folder / f"{prefix}{name}.{kind}"
            with replacing(path, force) as file:
                file.write(render(figure, kind))
            wrote(path)


def _export(path, histories, results, force):
    from l2hmc_bridge.adapters.records import obs_file

    left_out = obs_file.write(path, histories, [one.cut for one in results], force)
    wrote(path)
    if left_out:
        warn(f"warning: {path}: without {', '.join(left_out)}: NaN or fewer than five values in a "
             "chain")
