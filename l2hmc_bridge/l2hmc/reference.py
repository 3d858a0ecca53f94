"""One field of a trajectory with what was computed on it, in torch; see also `compiled.py`."""

from dataclasses import dataclass, field

from torch import Tensor

from l2hmc_bridge.systems.actions import Action
from l2hmc_bridge.systems.groups import group_of


@dataclass
class Point:
    """One field of a trajectory with what was computed on it: each force exactly once."""

    kernel: object
    links: Tensor
    force: Tensor
    evaluations: int = 0
    _features: tuple | None = None
    _displaced: dict = field(default_factory=dict)

    def momenta_in(self, momenta: Tensor) -> Tensor:
        """Momenta as this point's maps take them."""
        return momenta

    momenta_out = momenta_in

    def flipped(self, momenta: Tensor) -> Tensor:
        """-P."""
        return -momenta

    def numbers(self, steps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Step sizes as this point's maps take them."""
        return steps

    def total(self, changes: list) -> Tensor | float:
        """The sum of these log|J|."""
        return sum(changes)

    def moved(self, links: Tensor) -> "Point":
        """The next field, with its force."""
        return Point(self.kernel, links, self.kernel.action.force(links), self.evaluations + 1)

    def displaced(self, kick: int, displacement: Tensor) -> Tensor:
        """F, or F(exp(-g F) U) where kick number `kick` has a displacement g."""
        if not self.kernel.steps.displaced[kick]:
            return self.force
        if kick not in self._displaced:
            field = group_of(self.kernel.action).drift(self.force, self.links, -displacement)
            self._displaced[kick] = self.kernel.action.force(field)
            self.evaluations += 1
        return self._displaced[kick]

    def features(self) -> tuple:
        """What the kick network sees of this field."""
        if self._features is None:
            self._features = self.kernel.kick_network.features(
                self.links, self.force, coupling(self.kernel.action)
            )
        return self._features


def coupling(action: Action) -> float:
    """beta of an action, 0 where it has none."""
    return float(getattr(action, "beta", 0.0))
