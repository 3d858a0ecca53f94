"""`sample` on a screen: the library runs the stream, this shows how it went."""

from pathlib import Path

import click

from l2hmc_bridge.adapters.public.host_options import ContinueOptions
from l2hmc_bridge.adapters.public.host_streams import continue_stream
from l2hmc_bridge.adapters.public.streams import begin_stream, resume_stream
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.cli.screen.progress import Screen, trajectory_text
from l2hmc_bridge.cli.screen.stopping import stopper
from l2hmc_bridge.cli.screen.summary import show_summary
from l2hmc_bridge.cli.screen.voice import say, warn
from l2hmc_bridge.ranks import launch
from l2hmc_bridge.recorded.folder import shown
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.outcome import Recorded


def begin(options: SampleOptions, ranks: str | None = None) -> None:
    """Record a new stream, on several ranks if they are named."""
    with stopper() as stop:
        show(begin_stream(options, Screen(), stop, ranks), ranks)


def resume(
    folder: Path, more: int | None, max_seconds: float | None, threads: int | None,
    device: str | None, ranks: str | None = None,
) -> None:
    """Go on with a stream."""
    with stopper() as stop:
        show(resume_stream(folder, more, max_seconds=max_seconds, threads=threads, device=device,
                           progress=Screen(), stop=stop, ranks=ranks),
             ranks)


def go_on(options: ContinueOptions, ranks: str | None = None) -> None:
    """Write the next configuration of a host's stream; of several ranks the first says so."""
    with stopper() as stop:
        found = continue_stream(options, Screen(), stop, ranks)
    if ranks is not None and launch.is_beside():
        return
    for row in found.rows:
        click.echo(trajectory_text(row))
    host = found.host
    told = ", ".join(f"{name} {value}" for name, value in host.options.items())
    click.echo(f"{found.path}: written, the next of {host.scheme.name} ({host.format}"
               f"{', ' + told if told else ''}); record in {host_log.NAME}")
    for sentence in found.sentences:
        say(sentence)
    for sentence in found.warnings:
        warn(sentence)


def show(recorded: Recorded, ranks: str | None = None) -> None:
    """The summary as a table, its warnings, and how to finish what was cut short.

    Of several ranks the first shows it.
    """
    if ranks is not None and launch.is_beside():
        return
    show_summary(recorded.summary, shown(recorded.folder))
    for sentence in recorded.summary["warnings"]:
        warn(f"warning: {sentence}")
    if recorded.stopped is not None:
        warn(f"stopped {recorded.stopped} after {recorded.trajectories} of {recorded.target} "
            f"trajectories, all saved; `l2hmc-bridge sample --in {recorded.folder} --resume` "
            "finishes them")
