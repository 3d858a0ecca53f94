"""Time series of a stream in memory: what analysis, validation and plots work on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis import numbers as trajectory_numbers
from l2hmc_bridge.analysis.statistics import MINIMUM_SAMPLES


@dataclass(frozen=True)
class Series:
    """One observable: an array per chain, and the trajectory numbers of its values.

    numbers: of each chain, rising integers; without them `spacing`, 2 `spacing`, ...
    """

    chains: list[NDArray]
    spacing: int = 1
    convention: str = ""  # how it was measured, if that is stated and other ways exist
    numbers: Sequence[NDArray] | None = None

    def numbered(self) -> list[NDArray]:
        """The trajectory number of every value, chain by chain."""
        if self.numbers is not None:
            return list(self.numbers)
        return trajectory_numbers.regular([chain.size for chain in self.chains], self.spacing)

    def counted(self) -> list[NDArray]:
        """Trajectories from the beginning of each chain to its values: its first is `spacing`."""
        return [one - one[:1] + self.spacing for one in self.numbered()]

    def after(self, trajectories: int) -> list[NDArray]:
        """The chains without what lies within their first `trajectories` trajectories."""
        return [chain[counted > trajectories]
                for chain, counted in zip(self.chains, self.counted(), strict=True)]

    def numbers_after(self, trajectories: int) -> list[NDArray]:
        """The trajectory numbers of what `after` keeps."""
        return [one[counted > trajectories]
                for one, counted in zip(self.numbered(), self.counted(), strict=True)]

    @property
    def trajectories(self) -> int:
        """That the longest chain spans, gaps included."""
        return max((int(one[-1]) for one in self.counted() if one.size), default=0)


@dataclass(frozen=True)
class History:
    """All series of a stream; flow[name] holds [n, times] per chain, at `flow_times` [times]."""

    name: str
    series: Mapping[str, Series]
    flow_times: NDArray = field(default_factory=lambda: np.zeros(0))
    flow: Mapping[str, list[NDArray]] = field(default_factory=dict)
    flow_spacing: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)
    flow_numbers: Sequence[NDArray] | None = None  # of the rows of `flow`, as in Series

    @property
    def trajectories(self) -> int:
        """Of the longest chain."""
        return max((one.trajectories for one in self.series.values()), default=0)

    def gaps(self) -> str | None:
        """A sentence about missing trajectory numbers and mixed spacings, None if there are none.
        """
        told = {one: None for series in self.series.values()
                if (one := trajectory_numbers.gaps(series.numbered()))}
        return next(iter(told), None)

    def flow_table(self, name: str, cut: int = 0) -> tuple[list[NDArray], list[NDArray]]:
        """(rows [n, times], their trajectory numbers) of each chain after the cut."""
        rows = Series([np.arange(len(table)) for table in self.flow[name]], self.flow_spacing,
                      numbers=self.flow_numbers)
        tables = [table[kept] for table, kept in zip(self.flow[name], rows.after(cut), strict=True)]
        return tables, rows.numbers_after(cut)

    def charge_name(self, among: Collection[str] | None = None) -> str | None:
        """The best topological charge with enough samples: flowed, five-loop, clover.

        Only names in `among` count if it is given.
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
        """dH - log|J| per chain (dH alone if there is no log_det), None without dH."""
        if "delta_h" not in self.series:
            return None
        delta_h = self.series["delta_h"].after(cut)
        if "log_det" not in self.series:
            return delta_h
        log_det = self.series["log_det"].after(cut)
        return [one - other for one, other in zip(delta_h, log_det, strict=True)]
