"""The processes that run a verb together, each on its part of one lattice after the other.

    with sharing(lambda: lattice_of(path), reach=1):
        ...  # files are read in parts, sums run over all

Of one process alone, which is here, nothing is shared; that of several is `together.crew`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:  # a header is answered without torch
    import torch

Made = TypeVar("Made")


class Crew(Protocol):
    """All processes of a verb."""

    @property
    def alone(self) -> bool:
        """Whether there is one process."""

    @property
    def device(self) -> "torch.device":
        """Where this process computes."""

    @property
    def note(self) -> str:
        """Why what neighbours swap takes a longer way, if it does."""

    def made(self, make: Callable[[], Made]) -> Made:
        """What rank 0 makes, on every rank; every rank raises its error."""

    def sharing(self, lattice: Callable[[], Sequence[int]], reach: int
                ) -> AbstractContextManager[None]:
        """Hold a part of the lattice X,Y,Z,T, with copies as far as `reach` from its own sites.

        Raises ConfigError for ranks that do not fit it.
        """


@dataclass(frozen=True)
class Alone:
    """A process that runs a verb by itself, on the device of this name."""

    name: str = "cpu"
    alone = True
    note = ""

    @property
    def device(self) -> "torch.device":
        """That device; ConfigError if it is not there."""
        from l2hmc_bridge.fast.devices import device_of

        return device_of(self.name)

    def made(self, make: Callable[[], Made]) -> Made:
        return make()

    def sharing(self, lattice: Callable[[], Sequence[int]], reach: int
                ) -> AbstractContextManager[None]:
        return nullcontext()
