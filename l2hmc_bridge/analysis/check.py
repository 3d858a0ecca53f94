"""One compared number: what a gate, a validation or a reader prints as a row."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Check(NamedTuple):
    """`ours` against `theirs` within `tolerance` (absolute); `source` says where theirs is from."""

    name: str
    ours: float
    theirs: float
    tolerance: float
    source: str

    @property
    def difference(self) -> float:
        """|ours - theirs|."""
        return abs(self.ours - self.theirs)

    @property
    def passed(self) -> bool:
        """True if the difference is a number and within the tolerance."""
        return math.isfinite(self.difference) and self.difference <= self.tolerance

    def as_dict(self) -> dict:
        """JSON-ready, with `passed`; numbers that are not finite become None."""
        numbers = {
            key: value if math.isfinite(value) else None
            for key, value in self._asdict().items()
            if isinstance(value, float | int)
        }
        return {**self._asdict(), **numbers, "passed": self.passed}


def to_bound(number: float, bound: float) -> str:
    """A number with as many digits as its bound makes sense of: two of the bound's own."""
    if not (math.isfinite(number) and math.isfinite(bound)) or bound <= 0 or number == 0:
        return f"{number:.10g}"
    places = 1 - math.floor(math.log10(bound))
    return f"{number:.{min(max(places, 0), 15)}f}"


def all_passed(checks: Iterable[Check]) -> bool:
    """True if there is at least one check and every one passed."""
    checks = list(checks)
    return bool(checks) and all(check.passed for check in checks)
