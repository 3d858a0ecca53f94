"""A recording of a real run of the command line, an SVG that plays once: docs/pictures/sample.svg.

    python docs/making/screen.py

The command runs in a pseudo-terminal; what it writes, and when, is replayed in a terminal emulator.
A line is shown from the moment it appears until it changes, pauses shortened to LONGEST seconds; if
SVG is not animated, the last screen is what is seen.
"""

import fcntl
import html
import os
import pty
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyte

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("l2hmc-bridge sample --in cfg.ildg --bundle wilson.safetensors --out stream -n 150 "
           "--seed 1 --save-every 10")
FILES = {"cfg.ildg": ROOT / "examples" / "data" / "milc_l4x6x8x10_b6.0.ildg",
         "wilson.safetensors": ROOT / "l2hmc_bridge" / "models" / "wilson.safetensors"}
LONGEST = 0.4
COLUMNS, ROWS = 116, 30
WIDTH, HEIGHT, MARGIN = 8.4, 18, 14  # of a character, of a line, around
COLOURS = {"default": "#d9e0e8", "green": "#8ce99a", "red": "#ff8787", "cyan": "#66d9e8",
           "magenta": "#e599f7", "blue": "#74c0fc", "brown": "#ffd43b", "white": "#f8f9fa",
           "black": "#868e96"}


class Shown(NamedTuple):
    """A line of the screen: its row, its runs (text, colour, bold), from when and until when."""

    row: int
    runs: tuple[tuple[str, str, bool], ...]
    begin: float
    end: float | None


def recorded(command: str, folder: str) -> Iterator[tuple[float, bytes]]:
    """(seconds, bytes) that a command writes to a terminal. Raises CalledProcessError."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1",
                   "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    words = [sys.executable, "-m", "l2hmc_bridge.cli", *shlex.split(command)[1:]]
    begin = time.monotonic()
    with subprocess.Popen(words, cwd=folder, stdin=follower, stdout=follower, stderr=follower,
                          env=environment) as process:
        os.close(follower)
        while True:
            ready, _, _ = select.select([leader], [], [], 0.05)
            if ready:
                try:
                    data = os.read(leader, 1 << 16)
                except OSError:
                    break
                if not data:
                    break
                yield time.monotonic() - begin, data
            elif process.poll() is not None:
                break
    os.close(leader)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)


def replayed(command: str, chunks: Iterator[tuple[float, bytes]]) -> tuple[list[Shown], int]:
    """Every line of every screen, and how many rows were used."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"\x1b[1;32m$\x1b[0m {command}\r\n".encode())
    open_lines: dict[int, Shown] = {}
    done: list[Shown] = []
    moment = last = 0.0
    for clock, data in ((0.0, b""), *chunks):
        moment, last = moment + min(clock - last, LONGEST), clock
        stream.feed(data)
        for row in range(ROWS):
            runs = _runs(screen, row)
            before = open_lines.get(row)
            if before is not None and before.runs == runs:
                continue
            if before is not None:
                done.append(before._replace(end=moment))
                del open_lines[row]
            if any(text.strip() for text, _, _ in runs):
                open_lines[row] = Shown(row, runs, moment, None)
    done += open_lines.values()
    return done, max(open_lines) + 1


def _runs(screen: pyte.Screen, row: int) -> tuple[tuple[str, str, bool], ...]:
    runs: list[tuple[str, str, bool]] = []
    for column in range(COLUMNS):
        cell = screen.buffer[row][column]
        kind = (cell.fg if cell.fg in COLOURS or len(cell.fg) == 6 else "default", cell.bold)
        if runs and runs[-1][1:] == kind:
            runs[-1] = (runs[-1][0] + cell.data, *kind)
        else:
            runs.append((cell.data, *kind))
    if runs and not runs[-1][0].strip():
        runs.pop()
    return tuple(runs)


def drawn(lines: list[Shown], rows: int) -> str:
    """The SVG."""
    width, height = COLUMNS * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
             'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" '
             'font-size="14">',
             f"<title>{html.escape(COMMAND)}</title>",
             f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#1b2330"/>']
    parts += [_line(line) for line in lines if line.end is None or line.end - line.begin > 0.03]
    return "\n".join([*parts, "</svg>\n"])


def _line(line: Shown) -> str:
    spans, column = [], 0
    for text, colour, bold in line.runs:
        if text.strip():
            fill = COLOURS.get(colour, f"#{colour}")
            weight = ' font-weight="bold"' if bold else ""
            spans.append(f'<tspan x="{MARGIN + column * WIDTH:.1f}" fill="{fill}"{weight} '
                         f'textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
                         f"{html.escape(text)}</tspan>")
        column += len(text)
    last = line.end is None
    when = (f'<set attributeName="visibility" to="hidden" begin="0s" end="{line.begin:.2f}s"/>'
            if last else f'<set attributeName="visibility" to="visible" begin="{line.begin:.2f}s" '
            f'end="{line.end:.2f}s"/>')
    when = "" if last and line.begin == 0 else when
    hidden = "" if last else ' visibility="hidden"'
    return (f'<text y="{MARGIN + line.row * HEIGHT + 14}" xml:space="preserve"{hidden}>'
            f'{"".join(spans)}{when}</text>')


def main() -> None:
    """Record, draw, write."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in FILES.items():
            (Path(folder) / name).write_bytes(path.read_bytes())
        lines, rows = replayed(COMMAND, recorded(COMMAND, folder))
    target = ROOT / "docs" / "pictures" / "sample.svg"
    target.write_text(drawn(lines, rows))
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
