"""Tables of checks and a spinner, shared by the verbs that prove something."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from l2hmc_bridge.analysis.check import Check


def check_table(checks: Iterable[Check], title: str) -> Table:
    """One row per check: name, ours, theirs, |difference|, bound, source, pass or FAIL."""
    table = Table(title=title, title_justify="left")
    for column in ("check", "ours", "expected", "difference", "bound", "source", ""):
        numbers = column in ("ours", "expected", "difference", "bound")
        table.add_column(column, justify="right" if numbers else "left", no_wrap=column != "check")
    for check in checks:
        verdict = "[green]pass[/]" if check.passed else "[bold red]FAIL[/]"
        table.add_row(check.name, f"{check.ours:.6g}", f"{check.theirs:.6g}",
                      f"{check.difference:.2g}", f"{check.tolerance:.2g}", check.source, verdict)
    return table


def wide_console() -> Console:
    """Standard output; at least 110 columns if it is not a terminal, so that no row wraps."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 130))


@contextmanager
def spinner(title: str) -> Iterator:
    """A spinner on standard error; yields a function that changes what it says."""
    console = Console(stderr=True)
    with console.status(title) as status:
        yield lambda text: status.update(f"{title}: {text}")
