"""A signal ends a long run early, with all of it saved."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopper() -> Iterator[Callable[[], str | None]]:
    """Catch SIGINT and SIGTERM: the first asks for a clean stop, the second ends at once.

    Yields a function that gives the reason to stop after the present trajectory, or None.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def ask(number: int, _frame: object) -> None:
        received.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)

    def why() -> str | None:
        return f"on {signal.Signals(received[0]).name}" if received else None

    try:
        for one in SIGNALS:
            before[one] = signal.signal(one, ask)
    except ValueError:  # not the main thread: signals are somebody else's
        before.clear()
    try:
        yield why
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
