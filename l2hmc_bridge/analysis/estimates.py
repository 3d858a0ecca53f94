"""A stream's numbers: means, errors, tau_int of every series, acceptance, topology."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.analysis.statistics import Estimate, estimate, exp_minus_dh, thermalisation_cut
from l2hmc_bridge.errors import StatisticsError
from l2hmc_bridge.observables import scales

CUT_SERIES = ("plaquette", "energy_density", "topological_charge")


@dataclass(frozen=True)
class Topology:
    """What the charge does: `which` series, counts of its nearest integers, tunnelling."""

    which: str
    histogram: dict[int, int]
    tunnelling_rate: Estimate  # changes of the nearest integer per trajectory
    charge_squared: Estimate
    distance: float  # rms distance of the charge from its nearest integer, 0.29 where it has none


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

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; None for what is not resolved."""
        result = {
            "path": self.name, "cut": self.cut, "trajectories": self.trajectories,
            "chains": self.chains,
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
                "tunnelling_rate": self.topology.tunnelling_rate.as_dict(),
                "charge_squared": self.topology.charge_squared.as_dict(),
            }
        return result


def analyse(
    history: History, cut: int | None = None, among: Collection[str] | None = None
) -> Analysis:
    """Everything about one stream; `cut` trajectories are dropped, by default MSER's choice.

    `among` restricts which charge serves for the topology (see History.charge_name).
    Raises StatisticsError where the cut leaves nothing.
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
            observables[name] = safe_estimate(kept, series.spacing)
            samples[name] = sum(chain.size for chain in kept)
    delta_h = history.effective_delta_h(cut)
    weight, bad = exp_minus_dh(delta_h) if delta_h is not None else (None, 0)
    chains = max(len(series.chains) for series in history.series.values())
    result = Analysis(history.name, cut, history.trajectories, chains, observables, samples,
                      weight, bad, topology(history, cut, among), flow_scales(history, cut))
    result.effective.update(_effective(result, _covered(history, cut)))
    return result


def automatic_cut(history: History) -> int:
    """Trajectories to drop: the largest MSER cut of plaquette, energy density and charge."""
    cuts = [0]
    for name in CUT_SERIES:
        if name in history.series:
            series = history.series[name]
            usable = [c[np.isfinite(c)] for c in series.chains]
            usable = [c for c in usable if c.size]
            if usable:
                cuts.append(thermalisation_cut(usable) * series.spacing)
    return max(cuts)


def safe_estimate(chains: Sequence[NDArray], spacing: int = 1) -> Estimate:
    """`estimate` with tau_int in trajectories; a series with NaN is not resolvable."""
    chains = [chain for chain in chains if chain.size]
    if not chains:
        return Estimate(math.nan, math.nan, math.nan, math.nan, "not resolvable: no samples")
    try:
        result = estimate(chains)
    except StatisticsError as error:
        nan = float("nan")
        return Estimate(nan, nan, nan, nan, f"not resolvable: {error}")
    return result._replace(
        tau_int=result.tau_int * spacing, tau_int_error=result.tau_int_error * spacing
    )


def topology(
    history: History, cut: int = 0, among: Collection[str] | None = None
) -> Topology | None:
    """Histogram of the nearest integers of the charge, tunnelling rate and <Q^2>."""
    name = history.charge_name(among)
    if name is None:
        return None
    series: Series = history.series[name]
    chains = [chain[np.isfinite(chain)] for chain in series.after(cut)]
    chains = [chain for chain in chains if chain.size]
    if not chains:
        return None
    sectors = [np.rint(chain).astype(int) for chain in chains]
    changes = [(np.diff(sector) != 0) / series.spacing for sector in sectors]
    rate = safe_estimate(changes, series.spacing)
    if not any(change.any() for change in changes):
        count = sum(change.size for change in changes) * series.spacing
        rate = rate._replace(note=f"not resolvable: no change in {count} trajectories")
    squared = safe_estimate([chain**2 for chain in chains], series.spacing)
    counts = Counter(int(q) for sector in sectors for q in sector)
    rest = np.concatenate(chains) - np.concatenate(sectors)
    distance = float(np.sqrt((rest**2).mean()))
    return Topology(name, dict(counts), rate, squared, distance)


def flow_scales(history: History, cut: int = 0) -> dict[str, Estimate]:
    """t0 and w0 of the mean <E(t)>, errors by linear propagation of each configuration's E(t)."""
    if len(history.flow_times) < 4 or "energy_density" not in history.flow:
        return {}
    first = -(-cut // history.flow_spacing)
    tables = [table[first:] for table in history.flow["energy_density"]]
    tables = [table for table in tables if len(table)]
    if not tables:
        return {}
    found = {}
    for name, function in (("t0", scales.linear_t0), ("w0", scales.linear_w0)):
        values = function(history.flow_times, np.concatenate(tables))
        if np.isfinite(values).all():
            edges = np.cumsum([len(table) for table in tables])[:-1]
            found[name] = safe_estimate(np.split(values, edges), history.flow_spacing)
    return found


def _covered(history: History, cut: int) -> int:
    """Trajectories after the cut, of all chains together, that the longest series spans."""
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
