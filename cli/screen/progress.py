"""What `sample` shows: a progress bar on standard error, a table of the summary at the end."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from l2hmc_bridge.stream.summary import shown

QUIET_INTERVAL = 30.0  # seconds between lines where standard error is not a terminal


class Screen:
    """What a run tells, for a person: sentences and a bar for each phase, on standard error."""

    def say(self, sentence: str) -> None:
        """A sentence on standard error."""
        say(sentence)

    @contextmanager
    def phase(self, name: str, total: int, done: int = 0) -> Iterator["Bar"]:
        """A progress bar of `total` steps of which `done` are behind."""
        with bar(name, total, done) as shown:
            yield shown


class Bar:
    """A line per trajectory: on a terminal it replaces the last, elsewhere one now and then."""

    def __init__(self, title: str, total: int, done: int, progress: Progress | None):
        self.title, self.total, self.done, self.progress = title, total, done, progress
        self.last = time.monotonic()
        if progress is not None:
            self.task = progress.add_task(title, total=total, completed=done, text="")

    def tried(self, factor: float, delta_h: Sequence[float]) -> None:
        """A trajectory that is not recorded."""
        self.step(f"steps x {factor:.4g}  dH {sum(delta_h) / len(delta_h):+.3f}")

    def thermalised(self, plaquettes: Sequence[float]) -> None:
        """An update of the heat bath that is not recorded."""
        self.step(f"plaquette {sum(plaquettes) / len(plaquettes):.6f}")

    def recorded(self, row: Mapping[str, Any]) -> None:
        """A trajectory of the stream."""
        self.step(trajectory_text(row))

    def step(self, text: str) -> None:
        """One more is done; `text` says how it went."""
        self.done += 1
        if self.progress is not None:
            self.progress.update(self.task, completed=self.done, text=text)
        elif time.monotonic() - self.last > QUIET_INTERVAL:
            self.last = time.monotonic()
            click.echo(f"{self.title} {self.done}/{self.total}  {text}", err=True)


@contextmanager
def bar(title: str, total: int, done: int = 0) -> Iterator[Bar]:
    """A progress bar of `total` steps of which `done` are behind."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Bar(title, total, done, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
               TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield Bar(title, total, done, progress)


def trajectory_text(row: Mapping[str, Any]) -> str:
    """Number, dH, log|J|, accepted, plaquette and seconds of one row, means over chains."""
    chains = len(row["trajectory"])
    mean = {name: sum(row[name]) / chains for name in ("delta_h", "log_det", "plaquette")}
    accepted = sum(row["accepted"])
    said = ("yes" if accepted else "no ") if chains == 1 else f"{accepted}/{chains}"
    return (f"trajectory {row['trajectory'][0]}  dH {mean['delta_h']:+8.3f}  "
            f"log|J| {mean['log_det']:+7.3f}  accepted {said}  "
            f"plaquette {mean['plaquette']:.6f}  {sum(row['seconds']):.2f} s")


def say(sentence: str) -> None:
    """A sentence on standard error."""
    click.echo(f"l2hmc-bridge: {sentence}", err=True)


def summary_table(summary: Mapping[str, Any], title: str) -> Table:
    """The summary as a table of two columns, one more for each of several chains."""
    chains = summary.get("chains", [])
    table = Table(title=title, title_justify="left")
    table.add_column("quantity", no_wrap=True)
    each = [f"chain {chain['chain']}" for chain in chains]
    for name in ["all chains" if chains else "value", *each]:
        table.add_column(name, overflow="fold")
    for name, show in _ROWS.items():
        cells = [show(part) if name in _PER_CHAIN or part is summary else ""
                 for part in (summary, *chains)]
        table.add_row(name, *cells)
    return table


def _observable(name: str) -> Any:
    return lambda part: shown(part[name])


def _tau(part: Mapping[str, Any]) -> str:
    entry = part["plaquette"] or {}
    if entry.get("tau_int") is None:
        return "not resolvable"
    return f"{entry['tau_int']:.2g} +- {entry['tau_int_error']:.2g}"


def _number(name: str, form: str) -> Any:
    return lambda part: "-" if part[name] is None else format(part[name], form)


def _kernel(about: Mapping[str, Any]) -> str:
    if about["kind"] == "heatbath":
        return f"heat bath, {about['sweeps']} + {about['overrelax']} overrelaxed sweeps"
    return about.get("nature") or f"HMC, {about.get('integrator', 'trained')}"


_ROWS = {
    "trajectories": lambda part: f"{part['trajectories']} of {part['target']}",
    "acceptance": _number("acceptance", ".3f"),
    "<exp(-dH + log|J|)>": _observable("exp_minus_dh"),
    "plaquette": _observable("plaquette"),
    "tau_int of the plaquette (1/2 + sum rho)": _tau,
    "topological charge (clover)": _observable("topological_charge"),
    "mean squared link change, (1/4V) sum |dU|^2": _observable("link_change"),
    "MD length": _number("md_length", ".4g"),
    "tuning factor": _number("tuning_factor", ".4g"),
    "force evaluations per trajectory": _number("force_evaluations_per_trajectory", ".4g"),
    "seconds per trajectory": _number("seconds_per_trajectory", ".3g"),
    "seed": lambda part: str(part["seed"]),
    "kernel": lambda part: _kernel(part["kernel"]),
    "bundle": lambda part: (f"{part['bundle']} {part['bundle_hash'][:12]}" if part["bundle"]
                            else "none"),
}
_PER_CHAIN = ("acceptance", "<exp(-dH + log|J|)>", "plaquette",
              "tau_int of the plaquette (1/2 + sum rho)", "topological charge (clover)",
              "mean squared link change, (1/4V) sum |dU|^2")
