"""Which chains of a stream this process computes: all of them, or those of one of several groups.

What is said of chains (rows, records, what tuning learns from) is of all of them everywhere; fields
are of a process's own ones.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Made = TypeVar("Made")


class Chains(Protocol):
    """The chains of a stream, and those of them that this process computes."""

    def own(self, every: Sequence[Made]) -> Sequence[Made]:
        """Of what there is of every chain, in order, that of the own ones."""

    def every(self, own: Sequence[Made]) -> list[Made]:
        """The inverse: of every chain, from what each process has of its own. Asked by all."""

    def largest(self, number: float) -> float:
        """The largest that any process found; NaN if any did. Asked by all."""

    def of_first(self, make: Callable[[], Made]) -> Made:
        """What those with the first chain make, or refuse, in all processes. Asked by all."""


class AllChains:
    """All of them are this process's own."""

    def own(self, every: Sequence[Made]) -> Sequence[Made]:
        return every

    def every(self, own: Sequence[Made]) -> list[Made]:
        return list(own)

    def largest(self, number: float) -> float:
        return number

    def of_first(self, make: Callable[[], Made]) -> Made:
        return make()


ALL = AllChains()
