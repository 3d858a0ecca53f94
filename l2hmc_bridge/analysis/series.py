"""Time series of a stream in memory: what analysis, validation and plots work on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.statistics import MINIMUM_SAMPLES


@dataclass(frozen=True)
class Series:
    """One observable: an array per chain, and the trajectories between two of its values."""

    chains: list[NDArray]
    spacing: int = 1
    convention: str = ""  # how it was measured, where that is stated and other ways exist

    def after(self, trajectories: int) -> list[NDArray]:
        """The chains without their first `trajectories` trajectories."""
        return [chain[-(-trajectories // self.spacing):] for chain in self.chains]


@dataclass(frozen=True)
class History:
    """All series of a stream; flow[name] holds [n, times] per chain, at `flow_times` [times]."""

    name: str
    series: Mapping[str, Series]
    flow_times: NDArray = field(default_factory=lambda: np.zeros(0))
    flow: Mapping[str, list[NDArray]] = field(default_factory=dict)
    flow_spacing: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trajectories(self) -> int:
        """Of the longest chain."""
        return max((chain.size * one.spacing for one in self.series.values()
                    for chain in one.chains), default=0)

    def charge_name(self, among: Collection[str] | None = None) -> str | None:
        """The best topological charge with enough samples: flowed, five-loop, clover.

        Only names in `among` count where it is given.
        """
        names = ("topological_charge_flowed", "topological_charge_5li", "topological_charge")
        counts = {name: sum(chain.size for chain in self.series[name].chains)
                  for name in names if name in self.series and (among is None or name in among)}
        enough = [name for name, count in counts.items() if count >= MINIMUM_SAMPLES]
        return next(iter(enough or counts), None)

    def comparable(self, other: "History") -> set[str]:
        """Series of both that mean the same: one convention; flowed ones one flow time."""
        both = set(self.series) & set(other.series) - set(self.conflicts(other))
        ends = [one.flow_times[-1:] for one in (self, other)]
        if ends[0].size != ends[1].size or not np.allclose(ends[0], ends[1], rtol=0, atol=1e-9):
            both.discard("topological_charge_flowed")
        return both

    def conflicts(self, other: "History") -> dict[str, str]:
        """{series of both: what differs} where their stated conventions do."""
        pairs = {name: (one.convention, other.series[name].convention)
                 for name, one in self.series.items() if name in other.series}
        return {name: f"{mine} in {self.name}, {theirs} in {other.name}: measure both alike"
                for name, (mine, theirs) in pairs.items() if mine and theirs and mine != theirs}

    def effective_delta_h(self, cut: int = 0) -> list[NDArray] | None:
        """dH - log|J| per chain (dH alone where there is no log_det), None without dH."""
        if "delta_h" not in self.series:
            return None
        delta_h = self.series["delta_h"].after(cut)
        if "log_det" not in self.series:
            return delta_h
        log_det = self.series["log_det"].after(cut)
        return [one - other for one, other in zip(delta_h, log_det, strict=True)]
