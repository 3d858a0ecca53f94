"""`l2hmc-bridge doctor`: what this machine and installation offer, and whether it works."""

import click

from l2hmc_bridge.cli.screen.options import Computing, Number

STYLES = {"good": "green", "absent": "yellow", "broken": "bold red"}


@click.command(cls=Computing, short_help="Say what this machine offers, and whether it works.")
@click.option("--seconds", type=Number(0, 600), default=10.0, show_default=True,
              help="Time for the speed of a trajectory; 0: none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(seconds, as_json):
    """Processor, kernels in use, threads, GPU and whether its kernels agree with torch, the bundle
    that ships, optional packages and what each is for, the speed of a trajectory.

    Exit status 1 if something that is there does not work.
    """
    import json
    from dataclasses import asdict

    from rich.text import Text

    from l2hmc_bridge.adapters.public import examination
    from l2hmc_bridge.cli.screen.progress import spinner
    from l2hmc_bridge.cli.screen.tables import present

    findings = []
    with spinner("doctor") as say:
        for finding in examination.examine(seconds):
            findings.append(finding)
            say(finding.name)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        rows = [(finding.name, finding.found, Text(finding.verdict, STYLES[finding.verdict]),
                 finding.advice) for finding in findings]
        present(("what", "found", "", "advice"), rows, prose=("found", "advice"))
    if any(one.verdict == examination.BROKEN for one in findings):
        click.get_current_context().exit(1)
