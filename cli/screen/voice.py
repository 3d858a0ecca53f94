"""What a verb tells besides its results: notes and warnings on standard error, and a log file.

`--quiet` leaves the notes and all progress out; warnings, errors and results remain. `--log-file`
gets all of it, with dates, the tables too.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import click

from l2hmc_bridge.errors import BridgeError

KEY = f"{__name__}.voice"


class Voice:
    """How loud the verb that runs is, and where else its words go."""

    def __init__(self) -> None:
        self.quiet = False
        self.log: TextIO | None = None

    def note(self, text: str) -> None:
        """A line that a person may want to read."""
        if not self.quiet:
            click.echo(readable(text), err=True)
        self.record(text)

    def warn(self, text: str) -> None:
        """A line that nobody should miss."""
        click.echo(readable(text), err=True)
        self.record(text)

    def record(self, text: str) -> None:
        """Into the log file alone, if there is one; a line of the text is a line there."""
        if self.log is None:
            return
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        for line in text.splitlines():
            self.log.write(f"{now} {line.rstrip()}\n")
        self.log.flush()


def readable(text: str) -> str:
    """The text as every terminal and file can hold it: names of files need not be UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def voice() -> Voice:
    """That of the verb that runs now."""
    context = click.get_current_context(silent=True)
    if context is None:
        return Voice()
    found = context.meta.setdefault(KEY, Voice())
    assert isinstance(found, Voice)
    return found


def say(sentence: str) -> None:
    """A note of this program."""
    voice().note(f"l2hmc-bridge: {sentence}")


def warn(sentence: str) -> None:
    """A warning or an error of this program that does not end it."""
    voice().warn(f"l2hmc-bridge: {sentence}")


def wrote(path: object) -> None:
    """That a file was written."""
    voice().note(f"wrote {path}")


def speaking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the options --quiet and --log-file of a verb that takes its time."""
    command = click.option(
        "--log-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        expose_value=False, callback=_log, help="Append everything that is said to FILE, with "
        "dates; progress every 30 s.")(command)
    return click.option(
        "--quiet", is_flag=True, expose_value=False, callback=_quiet, is_eager=True,
        help="No progress and no notes; warnings, errors and results remain.")(command)


def _quiet(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    voice().quiet = value


def _log(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is None or context.resilient_parsing:
        return
    from l2hmc_bridge.storage import regular

    file = open(regular.appending(path, BridgeError), "a", encoding="utf-8",
                errors="backslashreplace")
    context.call_on_close(file.close)
    voice().log = file
