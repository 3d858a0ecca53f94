"""What a run tells while it goes on; the library prints nothing."""

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
