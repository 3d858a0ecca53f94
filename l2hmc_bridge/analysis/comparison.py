"""Stream against stream: is it the same distribution, and is each stream sound in itself?

Every statistical row is held to the two-sided error rate `error_rate / rows`: a sound pair fails
anywhere in the table with at most that probability. Quantiles are Student's, since errors of
correlated data are themselves only known to a few per cent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.analysis.distance import PLANES, plaquette_distance
from l2hmc_bridge.analysis.estimates import Analysis, analyse, safe_estimate
from l2hmc_bridge.analysis.series import History
from l2hmc_bridge.analysis.statistics import Estimate

ERROR_RATE = 1e-3  # of the whole table
MEANS = ("plaquette", "plaquette_spatial", "plaquette_temporal", "rectangle", "energy_density",
         "energy_density_plaquette", "topological_charge", "topological_charge_flowed")
LEAST_FOR_KS = 20
COUNTED = "exact count"
# A series printed with few digits repeats by chance; only full precision tells a copy.
FULL_PRECISION = 1e-14  # median distance from 12 decimals


class Test(NamedTuple):
    """A statistical row before its bound is known: `difference` is 0 where all is well."""

    name: str
    ours: float
    theirs: float
    error: float
    freedom: float
    source: str


@dataclass(frozen=True)
class Comparison:
    """Checks of the table, rows that could not be decided, and what a person wants to see."""

    checks: list[Check]
    unresolved: list[str]
    analyses: tuple[Analysis, Analysis]
    distance: NDArray


def compare_streams(
    first: History, second: History, cut: int | None = None, error_rate: float = ERROR_RATE
) -> Comparison:
    """All rows for two streams of the same ensemble; `cut` trajectories are dropped in both."""
    both = first.comparable(second)
    analyses = (analyse(first, cut, both), analyse(second, cut, both))
    histories = (first, second)
    tests: list[Test] = []
    unresolved = [f"{name}: {why}" for name, why in first.conflicts(second).items()]
    _means(analyses, both, tests, unresolved)
    _variances(histories, analyses, tests, unresolved)
    _exactness(histories, analyses, tests, unresolved)
    _charges(histories, analyses, both, tests, unresolved)
    checks = [*_same_action(first, second), *_decide(tests, error_rate)]
    for history in histories:
        sound = soundness(history)
        checks.extend(sound)
        if not sound:
            unresolved.append(f"copies in {history.name}: no acceptance recorded, or plaquettes "
                              "of few digits")
    if not any(test.name == "mean plaquette" for test in tests):
        why = next((one for one in unresolved if one.startswith("mean plaquette:")),
                   "mean plaquette: not in both streams")
        checks.insert(0, Check("mean plaquette decided", 0.0, 1.0, 0.0, why))
    return Comparison(checks, unresolved, analyses, plaquette_distance(first, second))


def _same_action(first: History, second: History) -> list[Check]:
    """A failing row if the streams state other actions, couplings or extents: no physics."""
    checks = []
    for key, kind in (("action", str), ("lattice", str), ("beta", int | float)):
        mine: Any = first.attributes.get(key)
        theirs: Any = second.attributes.get(key)
        stated = all(isinstance(one, kind) and one != "" for one in (mine, theirs))
        if not stated or mine == theirs:
            continue
        ours, other = (float(mine), float(theirs)) if key == "beta" else (1.0, 0.0)
        checks.append(Check(f"one {key}", ours, other, 0.0,
                            f"other ensembles: {key} {mine} in {first.name}, {theirs} in "
                            f"{second.name}"))
    return checks


def _decide(tests: Sequence[Test], error_rate: float) -> list[Check]:
    from scipy.stats import t as student

    checks = []
    for test in tests:
        bound = float(student.isf(error_rate / (2 * len(tests)), max(test.freedom, 2.0)))
        sigma = (test.ours - test.theirs) / test.error if test.error > 0 else math.inf
        source = f"{sigma:+.2f} of {bound:.2f} sigma allowed; {test.source}"
        checks.append(Check(test.name, test.ours, test.theirs, bound * test.error, source))
    return checks


def freedom(one: Estimate) -> float:
    """Degrees of freedom of an error: its relative error is half that of tau, 1/sqrt(2 nu)."""
    if not one.tau_int_error > 0:
        return math.inf
    return 2 * (one.tau_int / one.tau_int_error) ** 2


def _joint(name: str, one: Estimate, other: Estimate, source: str) -> Test:
    """Difference of two estimates, degrees of freedom after Welch and Satterthwaite."""
    squares = (one.error**2, other.error**2)
    total = sum(squares)
    nu = total**2 / sum(s**2 / freedom(e) for s, e in zip(squares, (one, other), strict=True))
    return Test(name, one.value, other.value, math.sqrt(total), nu, source)


def _means(analyses, both: set[str], tests: list[Test], unresolved: list[str]) -> None:
    names = [name for name in (*MEANS, *PLANES)
             if name in both and all(name in a.observables for a in analyses)]
    for name in names:
        one, other = (a.observables[name] for a in analyses)
        _add(f"mean {name}", one, other, "difference of means", tests, unresolved)
    if all(a.topology is not None for a in analyses):
        one, other = (a.topology.charge_squared for a in analyses)
        _add("mean Q^2", one, other, "difference of means", tests, unresolved)


def _add(name, one: Estimate, other: Estimate, source, tests, unresolved) -> None:
    if one.resolved and other.resolved:
        tests.append(_joint(name, one, other, source))
    else:
        unresolved.append(f"{name}: {one.note or other.note}")


def _variances(histories, analyses, tests: list[Test], unresolved: list[str]) -> None:
    """log of the ratio of the variances of the plaquette."""
    name = "plaquette"
    if not all(name in history.series for history in histories):
        return
    spreads = []
    for history, analysis in zip(histories, analyses, strict=True):
        series, mean = history.series[name], analysis.observables[name].value
        squares = [(chain - mean) ** 2 for chain in series.after(analysis.cut)]
        spreads.append(safe_estimate(squares, series.numbers_after(analysis.cut)))
    if not all(spread.resolved and spread.value > 0 for spread in spreads):
        unresolved.append(f"variance ratio of {name}: {spreads[0].note or spreads[1].note}")
        return
    logs = [spread._replace(value=math.log(spread.value), error=spread.error / spread.value)
            for spread in spreads]
    ratio = spreads[0].value / spreads[1].value
    joint = _joint("log variance ratio of plaquette", logs[0], logs[1], f"ratio {ratio:.4g}")
    tests.append(joint._replace(ours=joint.ours - joint.theirs, theirs=0.0))


def _exactness(histories, analyses, tests: list[Test], unresolved: list[str]) -> None:
    for history, analysis in zip(histories, analyses, strict=True):
        one = analysis.exp_minus_dh
        if one is None:
            continue
        if one.resolved:
            tests.append(Test(f"<exp(-dH + log|J|)> of {history.name}", one.value, 1.0, one.error,
                              freedom(one), "an exact step has 1"))
        else:
            unresolved.append(f"<exp(-dH + log|J|)> of {history.name}: {one.note}")


def _charges(histories, analyses, both, tests: list[Test], unresolved: list[str]) -> None:
    """Kolmogorov-Smirnov test of the charge on samples 2 tau_int apart."""
    names = [history.charge_name(both) for history in histories]
    if names[0] is None or names[0] != names[1]:
        return
    found = [thin(h, a, names[0]) for h, a in zip(histories, analyses, strict=True)]
    thinned = [one for one in found if one is not None and one.size >= LEAST_FOR_KS]
    if len(thinned) < len(found):
        unresolved.append(f"distribution of {names[0]}: too few independent samples")
        return
    from scipy.stats import ks_2samp, norm

    result = ks_2samp(*thinned)
    sigma = float(norm.isf(max(result.pvalue, 1e-300) / 2))
    tests.append(Test(f"KS test of {names[0]}", sigma, 0.0, 1.0, math.inf,
                      f"p = {result.pvalue:.3g} from {thinned[0].size} and {thinned[1].size} "
                      "independent samples, as sigma"))


def thin(history: History, analysis: Analysis, name: str) -> NDArray | None:
    """Samples of a series 2 tau_int apart, None where tau_int is not resolved."""
    estimate = analysis.observables[name]
    if not estimate.resolved:
        return None
    series = history.series[name]
    pairs = zip(series.after(analysis.cut), series.numbers_after(analysis.cut), strict=True)
    return np.concatenate([chain[_apart(numbers, 2 * estimate.tau_int)]
                           for chain, numbers in pairs])


def _apart(numbers: NDArray, distance: float) -> list[int]:
    """Places of numbers at least `distance` apart, the first one among them."""
    kept: list[int] = []
    for place, number in enumerate(numbers.tolist()):
        if not kept or number >= numbers[kept[-1]] + distance:
            kept.append(place)
    return kept


def soundness(history: History) -> list[Check]:
    """What a Markov chain's record may never show, exact counts with bound 0.

    Accepted trajectories whose plaquette is one that was there before, in any chain, to the last
    bit; rejected trajectories whose plaquette is not the previous one.
    """
    if not all(name in history.series for name in ("accepted", "plaquette")):
        return []
    accepted, plaquette = history.series["accepted"], history.series["plaquette"]
    if not _full_precision(plaquette.chains):
        return []
    copies, moved = 0, 0
    seen: set[float] = set()
    for taken, values, numbers in zip(accepted.chains, plaquette.chains, plaquette.numbered(),
                                      strict=True):
        steps = np.abs(np.diff(values)) > 1e-9 * np.abs(values[1:])
        steps &= np.diff(numbers) == 1  # what lies between others is not known
        moved += int((steps & (taken[1:] == 0)).sum())
        fresh = [value for value, one in zip(values.tolist(), taken, strict=True) if one]
        copies += len(fresh) - len(set(fresh) - seen)
        seen.update(fresh)
    checks = [Check(f"accepted but not new, {history.name}", float(copies), 0.0, 0.0, COUNTED)]
    if plaquette.spacing == 1:
        checks.append(Check(f"rejected but moved, {history.name}", float(moved), 0.0, 0.0, COUNTED))
    return checks


def _full_precision(chains: Sequence[NDArray]) -> bool:
    values = np.concatenate(chains)
    return bool(np.median(np.abs(values - np.round(values, 12))) > FULL_PRECISION)
