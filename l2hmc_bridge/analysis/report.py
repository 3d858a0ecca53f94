"""One self-contained HTML page: tables and pictures, nothing loaded from elsewhere."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from l2hmc_bridge import __version__
from l2hmc_bridge.analysis.plots import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
body { font-family: sans-serif; max-width: 70em; margin: 2em auto; color: #222; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto }
td, th { padding: .2em .7em; text-align: right }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd }
td:first-child, th:first-child, td:last-child { text-align: left }
.run th { border: 0; font-weight: normal; color: #666 } .run td { text-align: left }
.pass { color: #070 } .FAIL { color: #b00; font-weight: bold } img { max-width: 100% }
"""


def page(title: str, sections: Iterable[str], made: str = "") -> str:
    """A whole page of sections made by `table`, `pictures`, `heading`, `paragraph` and `warning`.

    made: how the page was made, for its last line.
    """
    head = ("<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<title>{html.escape(title)}</title><style>{STYLE}</style>")
    body = "\n".join(sections)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    foot = (f"<p><small>l2hmc-bridge {__version__}, {now}"
            f"{': ' if made else ''}{html.escape(made)}</small></p>")
    return (f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head>\n<body>"
            f"<h1>{html.escape(title)}</h1>\n{body}\n{foot}</body></html>\n")


def heading(text: str) -> str:
    """A section's heading."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def warning(text: str) -> str:
    """A paragraph that nobody should miss."""
    return f"<p class='FAIL'>warning: {html.escape(text)}</p>"


def described(rows: Iterable[tuple[str, str]]) -> str:
    """A table of two columns without a head: what, and its value."""
    lines = [f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
             for name, value in rows]
    return "\n".join(["<table class='run'>", *lines, "</table>"])


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a cell that is "pass" or "FAIL" gets its colour."""
    lines = ["<table><tr>", *(f"<th>{html.escape(column)}</th>" for column in columns), "</tr>"]
    for row in rows:
        cells = []
        for cell in row:
            text = str(cell)
            mark = f" class='{text}'" if text in ("pass", "FAIL") else ""
            cells.append(f"<td{mark}>{html.escape(text)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def pictures(figures: Mapping[str, "Figure"], kind: str = "png") -> str:
    """Figures as images inside the page (data URLs)."""
    mime = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    parts = []
    for name, figure in figures.items():
        data = base64.b64encode(render(figure, kind)).decode()
        parts.append(f"<h3>{html.escape(name.replace('_', ' '))}</h3>"
                     f"<img alt='{html.escape(name)}' src='data:{mime};base64,{data}'>")
    return "\n".join(parts)
