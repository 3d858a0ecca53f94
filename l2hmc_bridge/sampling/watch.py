"""Does an update move an observable? Its values right before and right after, compared.

In equilibrium an exact update leaves every mean alone: E[O(U') - O(U)] = 0, rejects counted as 0.
The mean of the differences over many updates, in units of its error, finds a bias that the mean of
O itself would show much later. Other, exact updates must come in between: in a stream of one kind
of update alone the differences add up to O_last - O_first, whatever it samples.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from l2hmc_bridge.analysis.statistics import (
    MINIMUM_LENGTH,
    MINIMUM_SAMPLES,
    Estimate,
    estimate,
    with_error,
)
from l2hmc_bridge.errors import StatisticsError
from l2hmc_bridge.observables.standard import plaquette

Observables = Mapping[str, Callable[[Tensor], Tensor]]


class Drift:
    """Differences of observables over updates of one kind, and sentences about those that drift.

    observables: {name: links -> [Nb]}, the plaquette by default. An observable drifts where
    |mean difference| > `sigmas` errors, once `minimum` updates of each chain are there.
    """

    def __init__(self, observables: Observables | None = None, sigmas: float = 4.0,
                 minimum: int = 50):
        self.observables = {"plaquette": plaquette} if observables is None else dict(observables)
        self.sigmas, self.minimum = sigmas, minimum
        self.differences: dict[str, dict[int, list[float]]] = {}

    @torch.no_grad()
    def measure(self, links: Tensor) -> dict[str, Tensor]:
        """{name: values [Nb]}: call it right before the update, on the links as they are."""
        return {name: observable(links) for name, observable in self.observables.items()}

    def record(self, before: Mapping[str, Tensor], links: Tensor,
               chains: list[int] | None = None) -> None:
        """Note what one update did: `before` from `measure`, `links` after accept/reject.

        chains: which chain each row is, where not all of them made the update.
        """
        for name, after in self.measure(links).items():
            series = self.differences.setdefault(name, {})
            change = (after - before[name]).tolist()
            for chain, value in zip(chains or range(len(change)), change, strict=True):
                series.setdefault(chain, []).append(value)

    def estimates(self) -> dict[str, Estimate]:
        """{name: mean difference with its error}, chains with at least `minimum` updates.

        Left out if these are too few for an error.
        """
        found = {}
        for name, series in self.differences.items():
            least = max(self.minimum, MINIMUM_LENGTH)
            chains = [values for values in series.values() if len(values) >= least]
            if chains and sum(map(len, chains)) >= MINIMUM_SAMPLES:
                found[name] = estimate(chains)
        return found

    def warnings(self) -> list[str]:
        """One sentence for each observable that drifts beyond its error; [] where none does.

        A change that is the same every time has no error, and is a drift unless it is 0.
        """
        return [
            f"{name}: changes by {with_error(one.value, one.error)} in each update, "
            f"{_distance(one)}: it is not exact, or the stream was not in equilibrium"
            for name, one in self.estimates().items()
            if one.value and not abs(one.value) <= self.sigmas * one.error
        ]

    def require(self) -> None:
        """Raise StatisticsError with the sentences of `warnings`, if there are any."""
        found = self.warnings()
        if found:
            raise StatisticsError("; ".join(found))


def _distance(one: Estimate) -> str:
    """How far from 0 in errors, or why there is no error."""
    return f"{abs(one.value) / one.error:.1f} errors from 0" if one.error > 0 else one.note
