"""`l2hmc-bridge validate`: our numbers and streams against those of others."""

from pathlib import Path

import click

from l2hmc_bridge.cli.screen.options import ACCEPTABLE, Computing, Number, reading, spelled
from l2hmc_bridge.cli.screen.sharing import ranks_option, sharing
from l2hmc_bridge.cli.screen.voice import speaking


@click.command(cls=Computing, short_help="Compare our numbers with those of established codes.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="FILE|STREAM...")
@click.option("--reference", type=click.Path(path_type=Path), metavar="TABLE|LOG",
              help="JSON, CSV, or a log of MILC, GPT, Grid, Chroma (XML), tmLQCD (output.data), "
              "QEX, nissa (gauge_obs), HiRep, openQCD (.ms.dat).")
@click.option("--against", metavar="STREAM|hmc|heatbath",
              help="Another stream of the ensemble; hmc, heatbath: run that here.")
@click.option("--partial", is_flag=True, help="The table may hold more than the given files.")
@click.option("--tolerance", default=0.0, type=Number(0),
              help="Added to the bounds of a table's values.")
@click.option("--convention", type=click.Choice(["traceless", "gpt"]),
              help="Trace of the field strength [as the log's code has it, else traceless].")
@click.option("--flow-step", type=Number(), help="Step of the flow [the log's, else 0.02].")
@click.option("--cut", type=click.IntRange(0), help="Trajectories to drop [automatic].")
@click.option("--error-rate", default=1e-3, show_default=True,
              type=Number(0, 1, min_open=True, max_open=True),
              help="Probability that a sound pair of streams fails anywhere in the table.")
@click.option("--beta", type=Number(), help="Of a baseline run here, if the stream does not say.")
@click.option("--action", help="Of a baseline run here, if the stream does not say [wilson].")
@click.option("-n", "--trajectories", type=click.IntRange(1),
              help="Of a baseline run here [as many as the stream has].")
@click.option("--seed", type=int, default=1, show_default=True, help="Of a baseline run here.")
@click.option("--json", "json_out", is_flag=False, flag_value="-", metavar="[OUT]",
              help="Write JSON, to standard output or to OUT, in place of the table.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html",
              help="Write one self-contained HTML page.")
@click.option("--quenched", is_flag=True,
              help="--against hmc: run the gauge action alone although files tell of quarks.")
@click.option("--force", is_flag=True, help="Replace an output file that is already there.")
@ranks_option
@speaking
@reading("--format", accept=(*ACCEPTABLE, "theory"))
@click.pass_context
def command(context, paths, json_out, report, force, ranks, **options):
    """Files against themselves, against a reference table or log, or stream against stream.

    Exit status 1 when a check fails.
    """
    from l2hmc_bridge.analysis.check import all_passed
    from l2hmc_bridge.cli.screen.outputs import refuse_early, settle

    paths, json_out = settle(paths, json_out, ".json")
    if not paths:
        raise click.UsageError("expected at least one FILE or STREAM")
    if options["reference"] and options["against"]:
        raise click.UsageError("expected --reference or --against, found both")
    if ranks is not None and options["against"]:
        raise click.UsageError("--ranks: expected no --against: streams are compared on one rank")
    refuse_early([json_out, report], force)
    with sharing(ranks) as crew:
        if options["against"]:
            from .streams import compare

            title, checks, extra = compare(paths, options)
        else:
            from . import files

            title, checks, extra = files.compare(paths, options, crew)
        made = spelled(context)
        crew.made(lambda: _written(title, checks, extra, json_out, report, force, made))
    return int(not all_passed(checks))


def _written(title, checks, extra, json_out, report, force, made):
    """What was found goes to where the options say."""
    from l2hmc_bridge.cli.screen.outputs import emit
    from l2hmc_bridge.cli.screen.tables import sentence
    from l2hmc_bridge.cli.screen.voice import warn

    emit(json_out, _json(title, checks, extra), force)
    if report:
        emit(str(report), _page(title, checks, extra, made), force)
    if json_out is None:
        _show(title, checks, extra)
    if json_out != "-":
        for told in extra.warnings:
            warn(f"warning: {told}")
        sentence(f"{sum(check.passed for check in checks)} of {len(checks)} checks pass")


def _json(title, checks, extra):
    import json

    from l2hmc_bridge.analysis.check import all_passed

    rows = [{**check.as_dict(), "difference": _finite(check.ours - check.theirs)}
            for check in checks]
    content = {"title": title, "passed": all_passed(checks), "checks": rows,
               "notes": extra.notes, **extra.content}
    return json.dumps(content, indent=1, allow_nan=False)


def _finite(number):
    return number if abs(number) < float("inf") else None


def _show(title, checks, extra):
    """The table: every row that fails, and up to 60 that pass."""
    from rich.text import Text

    from l2hmc_bridge.cli.screen.tables import present, sentence, verdict

    passing = [check for check in checks if check.passed]
    shown = [check for check in checks if not check.passed] + passing[:60]
    cells = [tuple(Text(cell, "" if check.passed else "bold red") for cell in row[:-1])
             + (verdict(check),) for check, row in zip(shown, rows(shown), strict=True)]
    present(COLUMNS, cells, title, prose=("check", "source"))
    if len(checks) > len(shown):
        sentence(f"{len(checks) - len(shown)} more rows that pass (--json shows all)")
    for columns, lines in extra.tables:
        present(columns, [tuple(map(str, line)) for line in lines], prose=columns[:1])
    for note in extra.notes:
        sentence(note)


COLUMNS = ("check", "ours", "theirs", "difference", "bound", "source", "")


def rows(checks):
    """Cells of the table of checks."""
    from l2hmc_bridge.analysis.check import to_bound

    for check in checks:
        verdict = "pass" if check.passed else "FAIL"
        yield (check.name, to_bound(check.ours, check.tolerance),
               to_bound(check.theirs, check.tolerance), f"{check.ours - check.theirs:+.2e}",
               f"{check.tolerance:.2g}", check.source, verdict)


def _page(title, checks, extra, made):
    from l2hmc_bridge.analysis import report
    from l2hmc_bridge.analysis.check import all_passed

    verdict = "every check passes" if all_passed(checks) else "a check FAILS"
    sections = [report.paragraph(verdict), *map(report.described, extra.about),
                *map(report.warning, extra.warnings), report.table(COLUMNS, rows(checks)),
                *map(report.paragraph, extra.notes)]
    sections += [report.table(columns, lines) for columns, lines in extra.tables]
    if extra.figures:
        sections.append(report.pictures(extra.figures()))
    return report.page(title, sections, made)
