"""Means with honest errors of correlated Monte Carlo series: the Gamma method of pyerrors.

tau_int = 1/2 + sum_{t>0} rho(t) everywhere (independent samples: 1/2), windows after Wolff,
hep-lat/0306017. What cannot be resolved is NaN with a note, never a small number.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l2hmc_bridge.analysis.numbers import Grid, dense, grid as grid_of
from l2hmc_bridge.errors import StatisticsError

NOT_RESOLVABLE = "not resolvable"
MINIMUM_SAMPLES = 20  # of all chains together
MINIMUM_LENGTH = 5  # of each chain
MINIMUM_EFFECTIVE = 12.0  # N / (2 tau_int)
LARGEST_LAG = 200  # of the autocorrelation function
_CHAIN_P_VALUE = 1e-5  # below it the means of the chains contradict their errors


class Estimate(NamedTuple):
    """Mean with standard error and tau_int (1/2 + sum rho) of a series.

    error, tau_int and tau_int_error are NaN if they cannot be resolved; `note` says why.
    """

    value: float
    error: float
    tau_int: float
    tau_int_error: float
    note: str = ""

    @property
    def resolved(self) -> bool:
        """Whether the error means anything."""
        return math.isfinite(self.error)

    def as_dict(self) -> dict[str, float | str | None]:
        """{value, error, tau_int, tau_int_error} with None for NaN, and the note if there is one.

        The form in which summaries and JSON files keep an estimate.
        """
        numbers = {"value": self.value, "error": self.error, "tau_int": self.tau_int,
                   "tau_int_error": self.tau_int_error}
        result: dict[str, float | str | None] = {
            name: number if math.isfinite(number) else None for name, number in numbers.items()}
        return {**result, "note": self.note} if self.note else result

    def __str__(self) -> str:
        if not self.resolved:
            return f"{self.value:.8g} ({self.note or NOT_RESOLVABLE})"
        return f"{with_error(self.value, self.error)}"


def with_error(value: float, error: float) -> str:
    """Value with two digits of its error in brackets: 0.59424(12)."""
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 0:
        return f"{value:.8g}"
    digits = 1 - math.floor(math.log10(error))
    if round(error * 10**digits) >= 100:
        digits -= 1
    if digits <= 0:
        return f"{round(value, digits):.0f}({round(error, digits):.0f})"
    return f"{value:.{digits}f}({round(error * 10**digits):d})"


def as_chains(series: ArrayLike | Sequence[ArrayLike]) -> list[NDArray]:
    """One series [n], an array [chains, n] or a list of series -> list of float64 arrays.

    Raises StatisticsError when a value is not finite or nothing is there.
    """
    try:
        array = np.asarray(series, dtype=np.float64)
        chains = [array] if array.ndim < 2 else list(array)
    except ValueError:  # chains of several lengths
        chains = [np.asarray(chain, dtype=np.float64) for chain in cast(Sequence, series)]
    if not chains or any(chain.ndim != 1 or chain.size == 0 for chain in chains):
        raise StatisticsError("series: expected one or several non-empty chains of numbers")
    bad = sum(int((~np.isfinite(chain)).sum()) for chain in chains)
    if bad:
        raise StatisticsError(f"series: expected finite numbers, found {bad} NaN or infinite")
    return chains


def estimate(
    series: ArrayLike | Sequence[ArrayLike], numbers: Sequence[NDArray] | None = None
) -> Estimate:
    """Mean, error and tau_int of one chain or of several chains of the same ensemble.

    numbers: of each chain's samples (trajectories), rising; tau_int is counted in them, samples
    that are missing are gaps (pyerrors' irregular ranges). Without them samples follow each other.
    Deviations are taken from the mean of all chains together, so that slow modes which only
    differ between chains enter the error. Not resolvable: under 20 samples, a constant series, a
    window that reaches half the chain, under 12 effective samples, chain means that contradict
    each other. Raises StatisticsError on NaN or no data.
    """
    chains, grid = _on_grid(as_chains(series), numbers)
    total = sum(chain.size for chain in chains)
    value = math.fsum(math.fsum(chain) for chain in chains) / total
    if total < MINIMUM_SAMPLES or min(chain.size for chain in chains) < MINIMUM_LENGTH:
        return _unresolved(value, f"{total} samples in {len(chains)} chain(s) are too few")
    spread = max(float(np.abs(chain - value).max()) for chain in chains)
    if spread <= 1e-14 * max(abs(value), 1e-300):
        return _unresolved(value, "constant series")
    observable = _gamma_method(chains, value, grid)
    tau, tau_error = observable.e_tauint["chain"], observable.e_dtauint["chain"]
    window = int(observable.e_windowsize["chain"])
    if window >= grid.length // 2 - 1:
        return _unresolved(value, "no plateau of tau_int within half the chain")
    seen = tau if grid.regular else _seen(observable.e_rho["chain"], window, grid, total)
    if total < 2 * seen * MINIMUM_EFFECTIVE:
        return _unresolved(value, f"{total / (2 * seen):.1f} effective samples are too few")
    error = float(observable.dvalue) * math.sqrt(seen / tau)
    if _disagree(chains, value, error * math.sqrt(total)):
        return _unresolved(value, "the means of the chains contradict each other")
    return Estimate(value, error, float(tau) * grid.step, float(tau_error) * grid.step)


def _on_grid(
    chains: list[NDArray], numbers: Sequence[NDArray] | None
) -> tuple[list[NDArray], Grid]:
    """The samples that lie on one grid, and where."""
    if numbers is None:
        return chains, dense([chain.size for chain in chains])
    if [number.size for number in numbers] != [chain.size for chain in chains]:
        raise StatisticsError("series: expected a trajectory number for every value")
    found = grid_of(numbers)
    return [chain[mask] for chain, mask in zip(chains, found.kept, strict=True)], found


def _seen(rho: NDArray, window: int, grid: Grid, total: int) -> float:
    """1/2 + sum_{t <= W} rho(t) c(t), c(t) the pairs of samples at distance t over their number.

    2 Gamma(0) / N times this is the variance of the mean: missing neighbours do not add to it.
    """
    present = [np.zeros(int(position[-1])) for position in grid.positions]
    for one, places in zip(present, grid.positions, strict=True):
        one[places - 1] = 1
    shares = [sum(float(one[: one.size - lag] @ one[lag:]) for one in present if one.size > lag)
              / total for lag in range(1, window + 1)]
    return max(0.5, 0.5 + float(np.dot(rho[1 : window + 1], shares)))


def autocorrelation(
    series: ArrayLike | Sequence[ArrayLike], numbers: Sequence[NDArray] | None = None
) -> tuple[NDArray, NDArray, int]:
    """(rho(t), its error, the window) for t = 0 ... 200, at most half the longest chain.

    Var rho(t) = (1/N) sum_{k>0}^{t+100} [rho(k+t) + rho(k-t) - 2 rho(k) rho(t)]^2
    (hep-lat/0409106, eq. E.11). numbers: as in `estimate`; t counts steps of their grid. Raises
    StatisticsError if no function can be formed.
    """
    chains, grid = _on_grid(as_chains(series), numbers)
    total = sum(chain.size for chain in chains)
    value = math.fsum(math.fsum(chain) for chain in chains) / total
    constant = all(np.ptp(chain) == 0 and chain[0] == chains[0][0] for chain in chains)
    if total < MINIMUM_SAMPLES or min(c.size for c in chains) < MINIMUM_LENGTH or constant:
        raise StatisticsError(f"autocorrelation: {NOT_RESOLVABLE} from {total} samples")
    observable = _gamma_method(chains, value, grid)
    window = int(observable.e_windowsize["chain"])
    rho = np.asarray(observable.e_rho["chain"])
    count = min(rho.size, LARGEST_LAG + 1)
    padded = np.concatenate([rho, np.zeros(2 * LARGEST_LAG + 100)])  # beyond: not known, small
    errors = [_rho_error(padded, lag, total) for lag in range(count)]
    return rho[:count], np.array(errors), window


def _rho_error(rho: NDArray, lag: int, total: int) -> float:
    steps = np.arange(1, lag + 101)
    terms = rho[steps + lag] + rho[np.abs(steps - lag)] - 2 * rho[lag] * rho[steps]
    return math.sqrt(float((terms**2).sum()) / total) if lag else 0.0


def exp_minus_dh(
    delta_h: ArrayLike | Sequence[ArrayLike], numbers: Sequence[NDArray] | None = None
) -> tuple[Estimate, int]:
    """<exp(-dH)>, dH the effective one (dK + dS - log|J|), and how many entries were not finite.

    1 for every exact step (Creutz). A NaN or infinite dH is a reject: it counts as 0 here.
    """
    raw = delta_h if isinstance(delta_h, list | tuple) else np.atleast_2d(np.asarray(delta_h))
    weights, bad = [], 0
    for chain in raw:
        chain = np.asarray(chain, dtype=np.float64)
        with np.errstate(over="ignore"):
            weight = np.exp(-chain)
        usable = np.isfinite(chain) & np.isfinite(weight)
        bad += int((~usable).sum())
        weights.append(np.where(usable, weight, 0.0))
    return estimate(weights, numbers), bad


def thermalisation_cut(series: ArrayLike | Sequence[ArrayLike]) -> int:
    """Number of leading samples to drop, by the marginal standard error rule (MSER-5).

    The cut n minimises sum_{i>=n} (x_i - mean_n)^2 / (N - n)^2 over batches of five, at most
    half the chain (White, Simulation 69 (1997) 323); the largest over the chains.
    """
    return max(_mser(chain) for chain in as_chains(series))


def sigma(first: Estimate, second: Estimate) -> float:
    """(first - second) in combined standard errors; NaN when an error is not resolved."""
    error = math.hypot(first.error, second.error)
    return (first.value - second.value) / error if error > 0 else math.nan


def _unresolved(value: float, why: str) -> Estimate:
    return Estimate(value, math.nan, math.nan, math.nan, f"{NOT_RESOLVABLE}: {why}")


def _gamma_method(chains: list[NDArray], value: float, grid: Grid):
    """pyerrors.Obs with deviations from the common mean, after its gamma_method."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyerrors  # imports slowly: only where an error is wanted

        names = [f"chain|{index:06d}" for index in range(len(chains))]
        spans = [range(1, places.size + 1) if places[-1] == places.size else places.tolist()
                 for places in grid.positions]
        deviations = [chain - value for chain in chains]
        # Sorted by pyerrors as (name, array): the names are unique, no array is compared.
        observable = pyerrors.Obs(deviations, names, idl=spans, means=[value] * len(chains))
        observable.gamma_method()
    return observable


def _disagree(chains: list[NDArray], value: float, scale: float) -> bool:
    """chi^2 of the chain means, each with error scale / sqrt(n), against the common mean."""
    if len(chains) < 2:
        return False
    from scipy.stats import chi2  # comes with pyerrors

    total = sum(chain.size * (float(chain.mean()) - value) ** 2 for chain in chains)
    return bool(chi2.sf(total / scale**2, len(chains) - 1) < _CHAIN_P_VALUE)


def _mser(chain: NDArray) -> int:
    batch = 5 if chain.size >= 50 else 1
    means = chain[: chain.size // batch * batch].reshape(-1, batch).mean(axis=1)
    count = means.size
    if count < 4:
        return 0
    score = [means[n:].var() / (count - n) for n in range(count // 2 + 1)]
    return int(np.argmin(score)) * batch
