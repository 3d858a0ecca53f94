"""`l2hmc-bridge analyze`: what a stream's numbers are worth."""

from pathlib import Path

import click


@click.command(short_help="Analyze a stream: errors and autocorrelations.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path),
                metavar="STREAM|H5|CSV|JSON...")
@click.option("--cut", type=click.IntRange(0), help="Trajectories to drop [automatic].")
@click.option("--json", "json_out", is_flag=False, flag_value="-", metavar="[OUT]",
              help="Write JSON, to standard output or to OUT.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html",
              help="Write one self-contained HTML page.")
@click.option("--plots", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Write the pictures into FOLDER.")
@click.option("--picture-format", type=click.Choice(["png", "svg"]), default="png",
              show_default=True)
@click.option("--force", is_flag=True, help="Replace output that is already there.")
def command(paths, cut, json_out, report, plots, picture_format, force):
    """Means with Gamma-method errors, tau_int with its error, acceptance and topology.

    tau_int is 1/2 + sum rho (pyerrors), in trajectories. What the samples cannot resolve is
    called "not resolvable". Each path is a stream of its own.
    """
    import json

    from l2hmc_bridge.adapters.records.history import read_history
    from l2hmc_bridge.analysis.estimates import analyse
    from l2hmc_bridge.cli.screen.outputs import emit, refuse_early, settle

    paths, json_out = settle(paths, json_out, ".json")
    if not paths:
        raise click.UsageError("expected at least one STREAM, H5, CSV or JSON file")
    refuse_early([json_out, report], force)
    histories = [read_history(path) for path in paths]
    results = [analyse(history, cut) for history in histories]
    emit(json_out, json.dumps([one.as_dict() for one in results], indent=1), force)
    if plots:
        _write_pictures(plots, histories, results, picture_format, force)
    if report:
        emit(str(report), _page(histories, results, picture_format), force)
    if json_out != "-":
        for result in results:
            _show(result)


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
        estimates["tunnelling rate"] = result.topology.tunnelling_rate
        estimates["<Q^2>"] = result.topology.charge_squared
        samples |= {"tunnelling rate": count, "<Q^2>": count}
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
        counts = ", ".join(f"{q}: {n}" for q, n in sorted(result.topology.histogram.items()))
        far = result.topology.distance
        yield (f"nearest integers of {result.topology.which}: {counts}; rms distance {far:.2g} "
               "(0.29 without sectors: flow it)")
    for name, number in result.effective.items():
        yield f"effective samples, {name.replace('_per_', ' per ').replace('_', ' ')}: {number:.4g}"


COLUMNS = ("observable", "mean", "tau_int [trajectories]", "samples", "note")


def _show(result):
    from rich.table import Table
    from rich.text import Text

    from l2hmc_bridge.cli.screen.tables import wide_console

    console = wide_console()
    table = Table(title=Text(result.name), title_justify="left")
    for column in COLUMNS:
        table.add_column(Text(column))  # brackets are not markup
    for row in rows(result):
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)
    for note in notes(result):
        console.print(Text(note))


def _page(histories, results, kind):
    from l2hmc_bridge.analysis import report
    from l2hmc_bridge.analysis.plots import stream_figures

    sections = []
    for history, result in zip(histories, results, strict=True):
        sections += [report.heading(result.name), *map(report.paragraph, notes(result)),
                     report.table(COLUMNS, rows(result)),
                     report.pictures(stream_figures(history, result), kind)]
    return report.page("Stream analysis", sections)


def _write_pictures(folder, histories, results, kind, force):
    from l2hmc_bridge.analysis.plots import render, stream_figures
    from l2hmc_bridge.storage.atomic import replacing

    folder.mkdir(parents=True, exist_ok=True)
    for number, (history, result) in enumerate(zip(histories, results, strict=True)):
        prefix = f"{number}_" if len(results) > 1 else ""
        for name, figure in stream_figures(history, result).items():
            with replacing(folder / f"{prefix}{name}.{kind}", force) as file:
                file.write(render(figure, kind))
