"""Tables that never cut or break a number: one that is too wide turns into a list.

On a terminal a table has its width, in a pipe that of COLUMNS, or as much as it needs.
"""

import os
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.cli.screen.voice import readable, voice

UNLIMITED = 10_000  # columns
PROSE = 18  # columns that text keeps at least, if it has as much
Cell = str | Text


def standard_output() -> Console:
    """Standard output, as wide as the terminal or COLUMNS say, else as wide as need be."""
    console = Console()
    if console.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return console
    return Console(width=UNLIMITED)


def present(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], title: Cell = "",
    prose: Iterable[str] = (), right: Iterable[str] = (),
) -> None:
    """Print rows below their title, as a table if it fits; nothing at all without rows.

    prose: columns of text, which may be wrapped between words. right: those set to the right. Text
    from files is never taken as markup.
    """
    cells = [[cell if isinstance(cell, Text) else Text(readable(str(cell))) for cell in row]
             for row in rows]
    if not cells:
        return
    _print(standard_output(), columns, cells, title, set(prose), set(right))
    if voice().log is not None:
        lines = Console(width=UNLIMITED, color_system=None)
        with lines.capture() as caught:
            _print(lines, columns, cells, title, set(prose), set(right))
        voice().record(caught.get())


def sentence(text: Cell, style: str = "") -> None:
    """Print a result in words."""
    standard_output().print(text if isinstance(text, Text) else Text(readable(text), style))
    voice().record(str(text))


def _print(console: Console, columns: Sequence[str], cells: list[list[Text]], title: Cell,
           prose: set[str], right: set[str]) -> None:
    if str(title):
        heading = title if isinstance(title, Text) else Text(readable(title), "italic")
        console.print(heading, soft_wrap=True)
    widths = _widths(console, columns, cells, prose)
    if widths is None:
        for row in cells:
            _listed(console, columns, row)
        return
    table = Table()
    for name, width in zip(columns, widths, strict=True):
        table.add_column(Text(name), width=width, no_wrap=name not in prose, overflow="fold",
                         justify="right" if name in right else "left")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _widths(console: Console, columns: Sequence[str], cells: list[list[Text]],
            prose: set[str]) -> list[int] | None:
    """A width for each column, None if there is no room for them all."""
    room = console.width - 3 * len(columns) - 1
    least, natural = [], []
    for place, name in enumerate(columns):
        texts = [Text(name), *(row[place] for row in cells)]
        whole = max(cell_len(line) for text in texts for line in text.plain.split("\n"))
        words = max(Measurement.get(console, console.options, text).minimum for text in texts)
        natural.append(whole)
        least.append(min(whole, max(words, PROSE)) if name in prose else whole)
    spare = room - sum(least)
    if spare < 0:
        return None
    for place, (low, high) in enumerate(zip(least, natural, strict=True)):
        least[place] += min(spare, high - low)
        spare -= least[place] - low
    return least


def _listed(console: Console, columns: Sequence[str], row: Sequence[Text]) -> None:
    """The first cell, and below it a line for each of the others that says something."""
    console.print(row[0], soft_wrap=True)
    names = [name for name, cell in zip(columns[1:], row[1:], strict=True) if cell.plain]
    width = max(map(cell_len, names), default=0)
    for name, cell in zip(columns[1:], row[1:], strict=True):
        if cell.plain:
            label = f"  {name}{' ' * (width - cell_len(name))}  " if name else "  "
            console.print(Text(label).append_text(cell), soft_wrap=True)


CHECKS = ("check", "ours", "expected", "difference", "bound", "source", "")


def show_checks(checks: Iterable[Check], title: str) -> None:
    """One row per check: name, ours, theirs, |difference|, bound, source, pass or FAIL."""
    rows = [(check.name, f"{check.ours:.6g}", f"{check.theirs:.6g}", f"{check.difference:.2g}",
             f"{check.tolerance:.2g}", check.source, verdict(check)) for check in checks]
    present(CHECKS, rows, title, prose=("check", "source"), right=CHECKS[1:5])


def verdict(check: Check) -> Text:
    """ "pass" or "FAIL"."""
    return Text("pass", "green") if check.passed else Text("FAIL", "bold red")
