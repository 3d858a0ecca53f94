"""When a long run should end early: a signal or the time that was allowed."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """`why()` gives the reason to stop after the present trajectory, or None."""

    def __init__(self, max_seconds: float | None):
        self.began = self.last = time.monotonic()
        self.max_seconds, self.longest, self.signal = max_seconds, 0.0, None

    def why(self) -> str | None:
        """To be asked once per trajectory: the time allowed must hold one more, as long as any."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        if self.signal is not None:
            return f"on {signal.Signals(self.signal).name}"
        if self.max_seconds is not None and now - self.began + self.longest > self.max_seconds:
            return f"by --max-seconds {self.max_seconds:g}"
        return None

    def restart(self) -> None:
        """Forget how long a trajectory took: another kind begins."""
        self.longest, self.last = 0.0, time.monotonic()


@contextmanager
def stopper(max_seconds: float | None) -> Iterator[Stopper]:
    """Catch SIGINT and SIGTERM: the first asks for a clean stop, the second ends at once."""
    result = Stopper(max_seconds)
    before = {}

    def ask(number: int, _frame: object) -> None:
        result.signal = number
        for one, handler in before.items():
            signal.signal(one, handler)

    try:
        for one in SIGNALS:
            before[one] = signal.signal(one, ask)
    except ValueError:  # not the main thread: signals are somebody else's
        before.clear()
    try:
        yield result
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
