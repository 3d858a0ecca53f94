"""`l2hmc-bridge gate`: prove a bundle exact, row by row."""

import click

from l2hmc_bridge.cli.screen.options import Computing, Number, parse_any_lattice
from l2hmc_bridge.cli.screen.voice import speaking, warn
from l2hmc_bridge.errors import ConfigError


@click.command(cls=Computing)
@click.argument("path", type=click.Path(dir_okay=False))
@click.option("--lattice", metavar="X,Y,Z,T",
              help="Lattice of the statistical rows; X,T for U(1), n for vectors of R^n  [default: "
              "the one that the bundle fits or was trained on; 4,4,4,4 for SU(3)]")
@click.option("--beta", type=Number(),
              help="Coupling; the middle of the bundle's range by default.")
@click.option("-n", "--trajectories", type=click.IntRange(50),
              help="Trajectories of each chain of the statistical rows; 150 on SU(3) (8 chains), "
                   "1000 elsewhere (64 chains).")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True)
@click.option("--write", is_flag=True, help="Store the report in the bundle.")
@speaking
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(path, lattice, beta, trajectories, seed, write, as_json):
    """Check the bundle PATH: group, inverse, Jacobian, symmetry, bookkeeping, statistics.

    PATH is a file, or the name of a bundle that ships.
    Exit status 0 when every row passes, 1 when one fails.
    """
    import json
    from pathlib import Path

    from l2hmc_bridge import models
    from l2hmc_bridge.bundle import store
    from l2hmc_bridge.cli.screen.progress import spinner
    from l2hmc_bridge.cli.screen.tables import show_checks
    from l2hmc_bridge.gate.report import check_bundle, check_nested

    extents = None if lattice is None else parse_any_lattice(lattice)
    path, named = models.located(path), path
    if write and path != Path(named):
        raise ConfigError(f"{named}: expected a file to --write into, found the name of a bundle "
                          f"that ships ({path})")
    form = store.form_of(path)
    check = check_nested if form == store.NESTED else check_bundle
    with spinner("gate") as say:
        checks, report = check(path, extents, beta, trajectories, seed, say)
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        settings = report["settings"]
        used = ",".join(map(str, [*settings["lattice_txyz"][1:], settings["lattice_txyz"][0]]))
        title = (f"{path}  hash {report['hash'][:12]}  lattice {used}  beta {settings['beta']:g}  "
                 f"engine: {settings['engine']}")
        show_checks(checks, title)
    if write:
        store.write_gate(path, report, form)
    if any(not check.passed and check.source == "stated bound" for check in checks):
        warn("a standard error above its bound proves nothing: more trajectories (-n) lower it")
    if not report["passed"]:
        click.get_current_context().exit(1)
