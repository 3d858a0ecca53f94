"""What a run tells while it goes on, and why it should end early; the library prints nothing."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from l2hmc_bridge.recorded.rows import Row

Stop = Callable[[], str | None]  # a reason to stop after this trajectory, asked after each


class Phase(Protocol):
    """One phase while it runs."""

    def tried(self, factor: float, delta_h: Sequence[float]) -> None:
        """A trajectory that is not recorded: steps times `factor`, dH - log|J| of each chain."""

    def thermalised(self, plaquettes: Sequence[float]) -> None:
        """An update of the heat bath that is not recorded: the plaquette of each chain after it."""

    def recorded(self, row: Row) -> None:
        """A trajectory of the stream, as its log has it."""


class Progress(Protocol):
    """Who listens: a screen, a log, or `Silent`."""

    def say(self, sentence: str) -> None:
        """What a person should know; the first comes after everything that is refused early."""

    def phase(self, name: str, total: int, done: int = 0) -> AbstractContextManager[Phase]:
        """"thermalise", "tune", "sample" or "continue": `total` trajectories, `done` behind."""


class Silent:
    """Nobody listens."""

    def say(self, sentence: str) -> None:
        """Nothing."""

    def phase(self, name: str, total: int, done: int = 0) -> AbstractContextManager[Phase]:
        """Nothing is shown."""
        return nullcontext(self)

    def tried(self, factor: float, delta_h: Sequence[float]) -> None:
        """Nothing."""

    def thermalised(self, plaquettes: Sequence[float]) -> None:
        """Nothing."""

    def recorded(self, row: Row) -> None:
        """Nothing."""


def never() -> str | None:
    """No reason to stop."""
    return None


class Deadline:
    """Why to stop after the present trajectory: what `stop` says, or the time allowed is over."""

    def __init__(self, max_seconds: float | None, stop: Stop):
        self.began = self.last = time.monotonic()
        self.max_seconds, self.stop, self.longest = max_seconds, stop, 0.0

    def why(self) -> str | None:
        """To be asked once per trajectory: the time allowed must hold one more, as long as any."""
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        reason = self.stop()
        if reason is not None:
            return reason
        if self.max_seconds is not None and now - self.began + self.longest > self.max_seconds:
            return f"by --max-seconds {self.max_seconds:g}"
        return None

    def restart(self) -> None:
        """Forget how long a trajectory took: another kind begins."""
        self.longest, self.last = 0.0, time.monotonic()
