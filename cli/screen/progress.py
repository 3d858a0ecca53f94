"""How far a phase is: a bar on a terminal, elsewhere and in a log file a line every 30 s."""

import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.text import Text

from l2hmc_bridge.cli.screen.voice import say, voice

INTERVAL = 30.0  # seconds between lines where there is no terminal
NARROWEST, WIDEST = 4, 30  # columns of the bar itself
REMEMBERED = 30  # steps that the time left is reckoned from


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
    """A phase under way; what is said of it comes in the order of its importance."""

    def __init__(self, title: str, total: int, done: int):
        self.title, self.total, self.done = title, total, done
        self.facts: tuple[str, ...] = ()
        self._times = deque([(time.monotonic(), done)], REMEMBERED)
        self._accepted = self._tried = 0.0

    def tried(self, factor: float, delta_h: Sequence[float]) -> None:
        """A trajectory that is not recorded."""
        self.step(f"dH {_short(_mean(delta_h))}", f"steps x {factor:.4g}")

    def thermalised(self, plaquettes: Sequence[float]) -> None:
        """An update of the heat bath that is not recorded."""
        self.step(f"plaquette {_mean(plaquettes):.5f}")

    def recorded(self, row: Mapping[str, Any]) -> None:
        """A trajectory of the stream; the acceptance is that of all since the phase began."""
        self._accepted += sum(row["accepted"])
        self._tried += len(row["accepted"])
        self.step(
            f"dH {_short(_mean(row['delta_h']))}", f"accepted {self._accepted / self._tried:.2f}",
            f"plaquette {_mean(row['plaquette']):.5f}", f"log|J| {_short(_mean(row['log_det']))}",
            f"{sum(row['seconds']):.2f} s", f"trajectory {row['trajectory'][0]}")

    def step(self, *facts: str, count: int = 1) -> None:
        """So many more are done; the facts say how it went, the first ones above all."""
        self.done, self.facts = self.done + count, facts
        self._times.append((time.monotonic(), self.done))

    def left(self) -> str:
        """The time left as h:mm:ss."""
        (began, first), (_, last) = self._times[0], self._times[-1]
        if last == first:
            return "-:--:--"
        seconds = (self._times[-1][0] - began) / (last - first) * (self.total - self.done)
        minutes, second = divmod(round(max(0.0, seconds)), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"

    def line(self) -> str:
        """All of it in words."""
        return ", ".join((f"{self.title} {self.done} of {self.total}", f"{self.left()} left",
                          *self.facts))

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """As much as there is room for: bar, M of N, time left, facts in their order."""
        parts = [f"{self.done} of {self.total}".rjust(2 * len(str(self.total)) + 4), self.left()]
        room = options.max_width - cell_len(self.title) - 1 - NARROWEST
        for fact in self.facts:
            if sum(cell_len(part) + 2 for part in (*parts, fact)) > room + 1:
                break
            parts.append(fact)
        told = " " + "  ".join(parts)
        width = min(WIDEST, max(0, options.max_width - cell_len(self.title) - 1 - cell_len(told)))
        full = width if not self.total else min(width, width * self.done // self.total)
        mark = "-" if options.ascii_only else "━"
        yield Text.assemble(f"{self.title} ", (mark * full, "bar.complete"),
                            (("." if options.ascii_only else mark) * (width - full), "bar.back"),
                            told, no_wrap=True, overflow="crop")

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        """All the width that there is."""
        return Measurement(options.max_width, options.max_width)


@contextmanager
def bar(title: str, total: int, done: int = 0, transient: bool = False) -> Iterator[Bar]:
    """A progress bar of `total` steps of which `done` are behind; a transient one goes at the end.
    """
    made, console, speaker = Bar(title, total, done), Console(stderr=True), voice()
    with ExitStack() as stack:
        if console.is_terminal and not speaker.quiet:
            stack.enter_context(Live(made, console=console, transient=transient,
                                     redirect_stdout=sys.stdout.isatty()))
            stack.enter_context(every(INTERVAL, lambda: speaker.record(made.line())))
        else:
            stack.enter_context(every(INTERVAL, lambda: speaker.note(made.line())))
        yield made


@contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error; yields a function that changes what it says."""
    told, began, console, speaker = [title], time.monotonic(), Console(stderr=True), voice()

    def line() -> str:
        return f"{told[0]}, {time.monotonic() - began:.0f} s so far"

    with ExitStack() as stack:
        if console.is_terminal and not speaker.quiet:
            status = stack.enter_context(console.status(Text(title)))
            stack.enter_context(every(INTERVAL, lambda: speaker.record(line())))
        else:
            status = None
            stack.enter_context(every(INTERVAL, lambda: speaker.note(line())))

        def say_more(text: str) -> None:
            told[0] = f"{title}: {text}"
            if status is not None:
                status.update(Text(told[0]))

        yield say_more


@contextmanager
def every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """`act` again and again after so many seconds, from a thread of its own, until the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def trajectory_text(row: Mapping[str, Any]) -> str:
    """Number, dH, log|J|, accepted, plaquette and seconds of one row, means over chains."""
    chains = len(row["trajectory"])
    accepted = sum(row["accepted"])
    said = ("yes" if accepted else "no ") if chains == 1 else f"{accepted}/{chains}"
    return (f"trajectory {row['trajectory'][0]}  dH {_mean(row['delta_h']):+8.3f}  "
            f"log|J| {_mean(row['log_det']):+7.3f}  accepted {said}  "
            f"plaquette {_mean(row['plaquette']):.6f}  {sum(row['seconds']):.2f} s")


def _mean(numbers: Sequence[float | None]) -> float:
    """The mean; a host's log has None for what was not finite."""
    return sum(math.nan if number is None else number for number in numbers) / len(numbers)


def _short(number: float) -> str:
    """In six columns, with its sign."""
    return (f"{number:+.2f}" if abs(number) < 99.995 else f"{number:+.0e}".replace("e+", "e")
            ).ljust(6)
