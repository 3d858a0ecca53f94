"""`analyse`: a stream or a series in, means with errors and autocorrelation times out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l2hmc_bridge.adapters.records.history import NAMES, from_records, read_history
from l2hmc_bridge.analysis import estimates
from l2hmc_bridge.analysis.estimates import Analysis
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.errors import StatisticsError

Recorded = History | str | Path | Mapping[str, ArrayLike] | ArrayLike


def analyse(source: Recorded, cut: int | None = None) -> Analysis:
    """Means with Gamma-method errors, tau_int, acceptance, <exp(-dH)> and topology of `source`.

        analyse("stream").observables["plaquette"]       # .value, .error, .tau_int, .tau_int_error
        analyse(measure("stream", flow_time=2.0)).topology
        analyse(plaquettes).observables["series"]

    source: the folder of a stream, a history in HDF5, CSV or JSON; named series {name: [n] or
    [chains, n]}, as `measure` gives them (with `chain` and `trajectory` if there are several
    chains); or one series [n] or [chains, n], called "series". cut: trajectories dropped at the
    start, MSER's choice if None. tau_int is 1/2 + sum rho, in trajectories; what cannot be resolved
    is NaN, with a note. Raises FormatError for a path without series, StatisticsError for series of
    other shapes and a cut that leaves nothing.
    """
    return estimates.analyse(_history(source), cut)


def _history(source: Recorded) -> History:
    if isinstance(source, History):
        return source
    if isinstance(source, str | Path):
        return read_history(Path(source))
    if not isinstance(source, Mapping):
        return History("series", {"series": Series(_chains("series", source))})
    columns = {name: _array(name, values) for name, values in source.items()}
    lengths = {array.shape for array in columns.values()}
    if len(lengths) != 1:
        raise StatisticsError("series: expected one shape for all, found "
                              f"{', '.join(str(list(shape)) for shape in sorted(lengths))}")
    if lengths.pop()[1:]:
        return History("series", {NAMES.get(name, name): Series(list(array))
                                  for name, array in columns.items()})
    return from_records(_rows(columns), "series")


def _rows(columns: Mapping[str, NDArray[np.float64]]) -> Sequence[dict[str, float | None]]:
    """Records of a table; a trajectory number that is not known is none."""
    length = len(next(iter(columns.values())))
    return [{name: float(array[row]) if np.isfinite(array[row]) or name != "trajectory" else None
             for name, array in columns.items()} for row in range(length)]


def _chains(name: str, values: ArrayLike) -> list[NDArray[np.float64]]:
    return list(np.atleast_2d(_array(name, values)))


def _array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Numbers [n] or [chains, n]; StatisticsError for others."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"{name}: expected numbers [n] or [chains, n], found "
                              f"{type(values).__name__}: {error}") from error
    if array.ndim not in (1, 2) or not array.size:
        raise StatisticsError(f"{name}: expected numbers [n] or [chains, n], found "
                              f"{list(array.shape)}")
    return array
