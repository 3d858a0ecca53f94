"""Draws the rooms of the house and who imports whom, from the files themselves: docs/rooms.svg.

An arrow that follows from others is left out.

    python docs/rooms.py
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from matplotlib import rcParams  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch  # noqa: E402

from tests.support import imports  # noqa: E402

FLOORS = (  # from the ground up
    ("errors", "models", "storage", "fields"),
    ("fast",),
    ("systems",),
    ("observables", "analysis", "sampling"),
    ("networks", "l2hmc"),
    ("bundle",),
    ("gate", "training", "recorded"),
    ("stream",),
    ("ranks",),
    ("adapters.format", "adapters.payload", "adapters.formats", "adapters.theory",
     "adapters.files"),
    ("adapters.hosts", "adapters.streams", "adapters.logs", "adapters.records",
     "adapters.l2hmc_qcd"),
    ("adapters.public",),
    ("cli",),
)
COLOURS = {"adapters": "#e8efe0", "cli": "#f6e9d4", "core": "#e3ebf5"}
WIDTH, HEIGHT = 2.1, 0.62


def purpose(room: str) -> str:
    """The first sentence that a room says of itself."""
    folder = ROOT.joinpath(*room.split("."))
    for path in (folder / "__init__.py", ROOT / "l2hmc_bridge" / room / "__init__.py",
                 ROOT / "l2hmc_bridge" / f"{room}.py"):
        if path.is_file():
            return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    return ""


def arrows() -> set[tuple[str, str]]:
    """(importing room, imported room), those left out that follow from others."""
    every = imported()
    reach = {own: _reached(own, every) for own, _ in every}
    return {(own, other) for own, other in every
            if not any(other in reach.get(between, ()) for one, between in every
                       if one == own and between != other)}


def _reached(room: str, every: set[tuple[str, str]]) -> set[str]:
    found: set[str] = set()
    waiting = [room]
    while waiting:
        here = waiting.pop()
        for own, other in every:
            if own == here and other not in found:
                found.add(other)
                waiting.append(other)
    return found


def imported() -> set[tuple[str, str]]:
    """(importing room, imported room)."""
    found = set()
    for path in imports.files(*imports.LIBRARY):
        own = imports.room(imports.module(path))
        for name in imports.imported(path):
            if name.startswith("l2hmc_bridge."):
                other = imports.room(name)
                if other != own and own and other != "__version__":
                    found.add((own, other))
    return found


def places() -> dict[str, tuple[float, float]]:
    """Centre of every room."""
    found = {}
    for level, rooms in enumerate(FLOORS):
        for n, room in enumerate(rooms):
            found[room] = ((n - (len(rooms) - 1) / 2) * (WIDTH + 0.35), 1.25 * level)
    return found


def draw() -> Figure:
    """Boxes on their floors, an arrow from each room to those it imports."""
    rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(13, 13.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    at = places()
    for own, other in sorted(arrows()):
        if own not in at or other not in at:
            continue
        (x, y), (to_x, to_y) = at[own], at[other]
        axes.add_patch(FancyArrowPatch(
            (x, y - HEIGHT / 2), (to_x, to_y + HEIGHT / 2), arrowstyle="-|>", mutation_scale=9,
            lw=0.7, color="#8a94a3", connectionstyle="arc3,rad=0.04", zorder=1))
    for room, (x, y) in at.items():
        kind = room.split(".")[0] if room.split(".")[0] in COLOURS else "core"
        axes.add_patch(FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0.02",
            fc=COLOURS[kind], ec="#4d5866", lw=0.9, zorder=2))
        axes.text(x, y + 0.12, room.replace("adapters.", "adapters/"), ha="center", va="center",
                  fontsize=10, weight="bold", zorder=3)
        axes.text(x, y - 0.15, _short(purpose(room)), ha="center", va="center", fontsize=6.4,
                  zorder=3)
    axes.set_xlim(-6.4, 6.4)
    axes.set_ylim(-0.7, 1.25 * len(FLOORS) - 0.5)
    return figure


def _short(sentence: str, length: int = 44) -> str:
    words, lines = sentence.rstrip(".").split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > length and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])


if __name__ == "__main__":
    target = Path(__file__).with_name("rooms.svg")
    draw().savefig(target, metadata={"Date": None})
    print(f"wrote {target}")
