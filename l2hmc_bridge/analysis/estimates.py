"""A stream's numbers: means, errors, tau_int of every series, acceptance, topology."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.analysis.statistics import Estimate, estimate, exp_minus_dh, thermalisation_cut
from l2hmc_bridge.errors import StatisticsError
from l2hmc_bridge.observables import scales

CUT_SERIES = ("plaquette", "energy_density", "topological_charge")
FLOWED = "_flowed"
SECTORS = 0.2  # rms distance of a flowed charge from integers, up to which it has sectors
FROZEN = 1e-9  # mean squared link change of an update that moves nothing


@dataclass(frozen=True)
class Topology:
    """What the charge does: `which` series, its square; of a flowed one sectors and tunnelling.

    A charge that is not flowed, or too little, has no sectors: the histogram of its nearest
    integers is empty, its tunnelling rate None.
    """

    which: str
    histogram: dict[int, int]
    tunnelling_rate: Estimate | None  # changes of the nearest integer per trajectory
    charge_squared: Estimate
    distance: float  # rms distance of the charge from its nearest integer, 0.29 if it has none

    @property
    def flowed(self) -> bool:
        """Whether this is a charge after the gradient flow."""
        return self.which.endswith(FLOWED)


@dataclass(frozen=True)
class Analysis:
    """Estimates per series after the cut; tau_int is counted in trajectories."""

    name: str
    cut: int
    trajectories: int
    chains: int
    observables: dict[str, Estimate]
    samples: dict[str, int]
    exp_minus_dh: Estimate | None
    not_finite: int  # entries of dH - log|J| that were NaN or infinite
    topology: Topology | None
    scales: dict[str, Estimate]
    effective: dict[str, float] = field(default_factory=dict)
    gaps: str | None = None  # missing trajectory numbers and mixed spacings, in words
    warnings: tuple[str, ...] = ()  # of a kernel that accepts nothing or moves nothing

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; None for what is not resolved."""
        result = {
            "path": self.name, "cut": self.cut, "trajectories": self.trajectories,
            "chains": self.chains, "gaps": self.gaps, "warnings": list(self.warnings),
            "observables": {
                name: {**one.as_dict(), "samples": self.samples[name]}
                for name, one in self.observables.items()
            },
            "acceptance": _plain(self.observables.get("accepted")),
            "exp_minus_dh": _plain(self.exp_minus_dh),
            "not_finite": self.not_finite,
            "effective_samples": self.effective,
            "scales": {name: one.as_dict() for name, one in self.scales.items()},
        }
        if self.topology is not None:
            result["topology"] = {
                "charge": self.topology.which,
                "histogram": {str(q): n for q, n in sorted(self.topology.histogram.items())},
                "distance_from_integers": self.topology.distance,
                "tunnelling_rate": _plain(self.topology.tunnelling_rate),
                "charge_squared": self.topology.charge_squared.as_dict(),
            }
        return result


def analyse(
    history: History, cut: int | None = None, among: Collection[str] | None = None
) -> Analysis:
    """Everything about one stream; `cut` trajectories are dropped, by default MSER's choice.

    `among` restricts which charge serves for the topology (see History.charge_name).
    Raises StatisticsError if the cut leaves nothing.
    """
    if cut is None:
        cut = automatic_cut(history)
    if cut >= history.trajectories:
        raise StatisticsError(f"{history.name}: expected a cut below the {history.trajectories} "
                              f"trajectories there are, found {cut}")
    observables, samples = {}, {}
    for name, series in history.series.items():
        kept = series.after(cut)
        if any(chain.size for chain in kept):
            observables[name] = safe_estimate(kept, series.numbers_after(cut))
            samples[name] = sum(chain.size for chain in kept)
    delta_h = history.effective_delta_h(cut)
    weight, bad = (None, 0) if delta_h is None else exp_minus_dh(
        delta_h, history.series["delta_h"].numbers_after(cut))
    chains = max(len(series.chains) for series in history.series.values())
    result = Analysis(history.name, cut, history.trajectories, chains, observables, samples,
                      weight, bad, topology(history, cut, among), flow_scales(history, cut),
                      gaps=history.gaps(), warnings=tuple(_warnings(observables)))
    result.effective.update(_effective(result, _covered(history, cut)))
    return result


def _warnings(observables: Mapping[str, Estimate]) -> Iterator[str]:
    accepted, change = (observables.get(name) for name in ("accepted", "link_change"))
    if accepted is not None and accepted.value == 0:
        yield "no proposal was accepted: all numbers are those of one configuration"
    elif change is not None and abs(change.value) <= FROZEN:
        yield (f"the update moves nothing: mean squared link change {change.value:.1g}: the "
               "configurations repeat each other")


def automatic_cut(history: History) -> int:
    """Trajectories to drop: the largest MSER cut of plaquette, energy density and charge."""
    cuts = [0]
    for name in CUT_SERIES:
        if name in history.series:
            series = history.series[name]
            for chain, counted in zip(series.chains, series.counted(), strict=True):
                usable = np.isfinite(chain)
                if usable.any():
                    dropped = thermalisation_cut(chain[usable])
                    cuts.append(int(counted[usable][dropped - 1]) if dropped else 0)
    return max(cuts)


def safe_estimate(
    chains: Sequence[NDArray], numbers: Sequence[NDArray] | None = None
) -> Estimate:
    """`estimate` of the chains that have values; a series with NaN is not resolvable.

    numbers: of trajectories, in which tau_int is counted; without them every value is one.
    """
    kept = [index for index, chain in enumerate(chains) if chain.size]
    if not kept:
        return Estimate(math.nan, math.nan, math.nan, math.nan, "not resolvable: no samples")
    try:
        return estimate([chains[index] for index in kept],
                        None if numbers is None else [numbers[index] for index in kept])
    except StatisticsError as error:
        nan = float("nan")
        return Estimate(nan, nan, nan, nan, f"not resolvable: {error}")


def topology(
    history: History, cut: int = 0, among: Collection[str] | None = None
) -> Topology | None:
    """<Q^2>; of a flowed charge the histogram of its nearest integers and the tunnelling rate."""
    name = history.charge_name(among)
    if name is None:
        return None
    series: Series = history.series[name]
    found = [(chain[usable := np.isfinite(chain)], numbers[usable]) for chain, numbers in
             zip(series.after(cut), series.numbers_after(cut), strict=True)]
    found = [(chain, numbers) for chain, numbers in found if chain.size]
    if not found:
        return None
    chains, numbers = [chain for chain, _ in found], [one for _, one in found]
    sectors = [np.rint(chain).astype(int) for chain in chains]
    rest = np.concatenate(chains) - np.concatenate(sectors)
    distance = float(np.sqrt((rest**2).mean()))
    squared = safe_estimate([chain**2 for chain in chains], numbers)
    if not name.endswith(FLOWED) or distance > SECTORS:
        return Topology(name, {}, None, squared, distance)
    counts = Counter(int(q) for sector in sectors for q in sector)
    return Topology(name, dict(counts), _tunnelling(sectors, numbers), squared, distance)


def _tunnelling(sectors: Sequence[NDArray], numbers: Sequence[NDArray]) -> Estimate:
    """Changes of the sector per trajectory."""
    steps = [np.diff(number) for number in numbers]
    changes = [(np.diff(sector) != 0) / step for sector, step in zip(sectors, steps, strict=True)]
    rate = safe_estimate(changes, [number[1:] for number in numbers])
    if not any(change.any() for change in changes):
        count = sum(int(step.sum()) for step in steps)
        rate = rate._replace(note=f"not resolvable: no change in {count} trajectories")
    return rate


def flow_scales(history: History, cut: int = 0) -> dict[str, Estimate]:
    """t0 and w0 of the mean <E(t)>, errors by linear propagation of each configuration's E(t)."""
    if len(history.flow_times) < 4 or "energy_density" not in history.flow:
        return {}
    tables, numbers = history.flow_table("energy_density", cut)
    if not any(len(table) for table in tables) or not all(np.isfinite(one).all() for one in tables):
        return {}
    found = {}
    for name, function in (("t0", scales.linear_t0), ("w0", scales.linear_w0)):
        values = function(history.flow_times, np.concatenate(tables))
        if np.isfinite(values).all():
            edges = np.cumsum([len(table) for table in tables])[:-1]
            found[name] = safe_estimate(np.split(values, edges), numbers)
    return found


def _covered(history: History, cut: int) -> int:
    """Trajectories after the cut that the samples of the longest series stand for, gaps left out.
    """
    return max(sum(chain.size for chain in series.after(cut)) * series.spacing
               for series in history.series.values())


def _effective(result: Analysis, trajectories: int) -> dict[str, float]:
    """Effective samples N / (2 tau_int), also per force evaluation and per second."""
    numbers = {}
    total = {
        key: one.value * result.samples[key]
        for key in ("force_evaluations", "seconds")
        if (one := result.observables.get(key)) is not None and one.value > 0
    }
    charge = (result.topology.which,) if result.topology else ()
    for key in ("plaquette", *charge):
        one = result.observables.get(key)
        if one is None or not one.resolved:
            continue
        # tau_int counts trajectories; N must count them too.
        count = trajectories / (2 * one.tau_int)
        numbers[key] = count
        for unit, amount in total.items():
            numbers[f"{key}_per_{unit.removesuffix('s')}"] = count / amount
    return numbers


def _plain(one: Estimate | None) -> dict[str, Any] | None:
    return None if one is None else one.as_dict()
