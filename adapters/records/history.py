"""Time series of a stream, wherever they lie: a stream's folder, HDF5, CSV or JSON."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.analysis import numbers as trajectory_numbers
from l2hmc_bridge.analysis.references import Reference, Value
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.storage.text_rows import from_csv, from_json

from . import host_log
from .measured import FLOWED, GROUP, flatten

NOT_SERIES = ("trajectory", "chain", "index", "lattice", "path", "reunitarised", "t0", "w0", "beta",
              "flow_step", "flow_tolerance", "unitarity_defect", "determinant_defect")
RECORDED = ("plaquette", "plaquette_spatial", "plaquette_temporal", "topological_charge")
FLOW_COLUMN = re.compile(rf"flow_([\d.]+(?:e[-+]?\d+)?)_({'|'.join(FLOWED)})")
RECORDED_TOLERANCE = 1e-6  # a stream may write single-precision configurations
NAMES = {"dH": "delta_h", "deltaH": "delta_h", "dh": "delta_h", "logdet": "log_det",
         "acc": "accepted", "plaq": "plaquette", "Q": "topological_charge"}


def read_history(path: Path) -> History:
    """Every series found at `path`. Raises FormatError if there is none."""
    path = Path(path)
    if path.is_dir():
        if not (path / "history.h5").is_file():
            why = "; configurations go through `measure` first"
            if (path / "log.jsonl").is_file():
                why = (" yet: a stream that runs writes it every minute, one that was killed by "
                       f"`sample --in {path} --resume`")
            raise FormatError(f"{path}: expected a stream with a history.h5, found none{why}")
        history = _read_h5(path / "history.h5", str(path))
    elif not path.is_file():
        raise FormatError(f"{path}: expected a stream, HDF5, CSV or JSON file, found none")
    elif h5py.is_hdf5(path):
        history = _read_h5(path, str(path))
    elif path.name == host_log.NAME:
        history = from_records(host_log.trajectories(path), str(path))
    elif path.suffix.lower() == ".json":
        history = from_records(from_json(path), str(path))
    elif b"\0" in path.read_bytes():
        raise FormatError(f"{path}: expected a stream, HDF5, CSV or JSON file, found binary data; "
                          "configurations go through `measure` first")
    else:
        history = from_records(from_csv(path), str(path))
    if not history.trajectories:
        raise FormatError(f"{path}: expected series of numbers, found none")
    return history


def chains_and_length(history: History) -> tuple[int, int]:
    """Number of chains, and of rows of the longest."""
    chains = max(len(one.chains) for one in history.series.values())
    return chains, max(chain.size for one in history.series.values() for chain in one.chains)


def rows_by_trajectory(path: Path) -> dict[int, list[Reference]]:
    """{chain: what the history says of each of its trajectories}, for plaquettes and charge."""
    with h5py.File(path, "r") as file:
        numbers = np.atleast_2d(file["trajectory"][()])
        columns = {name: np.atleast_2d(file[name][()]) for name in RECORDED if name in file}
    return {
        chain: [
            Reference("history.h5", trajectory=int(number), values={
                name: Value(float(data[chain, row]), RECORDED_TOLERANCE)
                for name, data in columns.items()
            })
            for row, number in enumerate(numbers[chain])
        ]
        for chain in range(len(numbers))
    }


def from_records(records: Iterable[Mapping[str, Any]], name: str) -> History:
    """Records of `measure`, or rows of a table with optional columns chain and trajectory."""
    try:
        rows = [flatten(dict(record)) for record in records]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{name}: expected records as `measure` writes them, found one with "
                          f"{error!r}") from error
    chains = sorted({row.get("chain") or 0 for row in rows}, key=lambda c: (type(c) is str, c))
    groups = [[row for row in rows if (row.get("chain") or 0) == chain] for chain in chains]
    groups, numbers = _in_order(groups, name)
    spacing = 1 if numbers is None else trajectory_numbers.spacing_of(numbers)
    series: dict[str, Series] = {}
    flow: dict[str, dict[float, list[NDArray]]] = {}
    for column in dict.fromkeys(column for row in rows for column in row):
        values = [[row.get(column) for row in group] for group in groups]
        if not all(isinstance(v, int | float | None) for group in values for v in group):
            continue
        arrays = [np.array([np.nan if v is None else v for v in group], float) for group in values]
        if match := FLOW_COLUMN.fullmatch(column):
            flow.setdefault(match[2], {})[float(match[1])] = arrays
        elif column not in NOT_SERIES:
            known = NAMES.get(column, column)
            series[known] = Series(arrays, spacing, _convention(known, rows[0]), numbers)
    times = sorted(set.intersection(*(set(flow.get(kind, ())) for kind in FLOWED)))
    tables = {
        kind: [np.stack([flow[kind][t][chain] for t in times], axis=1)
               for chain in range(len(groups))]
        for kind in (FLOWED if times else ())
    }
    _add_flowed_charge(series, tables, spacing, numbers, rows[0] if rows else {})
    return History(name, series, np.array(times), tables, spacing, _attributes(rows), numbers)


def _attributes(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What all rows state alike of action, coupling and lattice, as a stream's own history does."""
    told = {}
    for key in ("action", "beta", "quarks", "lattice"):
        values = {row.get(key) for row in rows}
        if len(values) == 1 and (value := values.pop()) is not None:
            told[key] = str(value).replace("x", ",") if key == "lattice" else value
    return told


def _in_order(
    groups: list[list[dict[str, Any]]], name: str
) -> tuple[list[list[dict[str, Any]]], list[NDArray] | None]:
    """Rows by trajectory number, if all have one, and these numbers."""
    numbers: list[list[Any]] = [[row.get("trajectory") for row in group] for group in groups]
    if not numbers or any(number is None for chain in numbers for number in chain):
        return groups, None
    if not all(isinstance(number, int | float) for chain in numbers for number in chain):
        raise FormatError(f"{name}: expected trajectory numbers, found text")
    for chain in (sorted(chain) for chain in numbers):
        for one, following in zip(chain, chain[1:], strict=False):
            if one == following:
                raise FormatError(f"{name}: expected one row per trajectory and chain, found "
                                  f"trajectory {one} twice: measure streams one by one")
    groups = [sorted(group, key=lambda row: row["trajectory"]) for group in groups]
    return groups, _whole(np.array([row["trajectory"] for row in group]) for group in groups)


def _whole(numbers: Iterable[NDArray]) -> list[NDArray] | None:
    """Rising integers of every chain, or None."""
    found = [trajectory_numbers.whole(number) for number in numbers]
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None


def _add_flowed_charge(
    series: dict[str, Series], flow: Mapping[str, list[NDArray]], spacing: int,
    numbers: Sequence[NDArray] | None, stated: Mapping[str, Any],
) -> None:
    if "topological_charge" in flow:
        known, last = "topological_charge_flowed", [t[:, -1] for t in flow["topological_charge"]]
        series[known] = Series(last, spacing, _convention(known, stated), numbers)


def _convention(name: str, stated: Mapping[str, Any]) -> str:
    """How a series was measured, as far as `stated` says: trace of the field strength, flow."""
    if not name.startswith(("topological_charge", "energy_density")):
        return ""
    keys = ("convention", "flow_kernel") if name.endswith("_flowed") else ("convention",)
    return ", ".join(f"{key.replace('_', ' ')} {stated[key]}" for key in keys if key in stated)


def _read_h5(path: Path, name: str) -> History:
    try:
        with h5py.File(path, "r") as file:
            series, (times, flow) = _h5_series(file), _h5_flow(file)
            first = _h5_flow_numbers(file, next(iter(series.values()), Series([])))
            group = file[GROUP] if isinstance(file.get(GROUP), h5py.Group) else file
            if group is not file:
                measured, (own_times, own_flow) = _h5_series(group), _h5_flow(group)
                if own_flow:
                    times, flow = own_times, own_flow
                    first = next(iter(measured.values()))
                # Where both have a series, the history has more rows.
                series |= {key: one for key, one in measured.items() if key not in series}
            _add_flowed_charge(series, flow, first.spacing, first.numbers, group.attrs)
            attributes = {key: value.item() if isinstance(value, np.generic) else value
                          for key, value in file.attrs.items()}
    except (OSError, KeyError, ValueError) as error:
        raise FormatError(f"{path}: expected a history in HDF5, found {error}") from error
    return History(name, series, times, flow, first.spacing, attributes, first.numbers)


def _h5_series(group: h5py.Group) -> dict[str, Series]:
    """Numeric datasets [n] or [chains, n]; their numbers come from `trajectory`.

    Of several chains, what is [n] (one number for all of them) counts for each; where all is [n],
    `chain` [n] tells the chains apart.
    """
    chains, rows, numbers = 1, _h5_rows(group), None
    if rows is not None:
        numbers = _whole(group["trajectory"][()][part] for part in rows)
    elif isinstance(group.get("trajectory"), h5py.Dataset):
        table = np.atleast_2d(group["trajectory"][()])
        chains, numbers = table.shape[0], _whole(table)
    spacing = 1 if numbers is None else trajectory_numbers.spacing_of(numbers)
    series = {}
    for name, data in group.items():
        numeric = isinstance(data, h5py.Dataset) and data.dtype.kind in "biuf"
        if numeric and data.ndim in (1, 2) and data.size and name not in NOT_SERIES:
            values = np.atleast_2d(data[()]).astype(float)
            values = np.repeat(values, chains, axis=0) if data.ndim == 1 else values
            parts = list(values) if rows is None else [values[0, part] for part in rows]
            sizes = None if numbers is None else [number.size for number in numbers]
            fit = numbers if sizes == [part.size for part in parts] else None
            known = NAMES.get(name, name)
            series[known] = Series(parts, spacing, _convention(known, group.attrs), fit)
    return series


def _h5_rows(group: h5py.Group) -> list[NDArray] | None:
    """Row numbers of each chain by trajectory, where `chain` and `trajectory` are both [n]."""
    labels, numbers = group.get("chain"), group.get("trajectory")
    if not all(isinstance(one, h5py.Dataset) for one in (labels, numbers)):
        return None
    labels, numbers = labels[()], numbers[()]
    if numbers.ndim != 1 or labels.shape != numbers.shape:
        return None
    rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    rows = [part[np.argsort(numbers[part], kind="stable")] for part in rows]
    for part in rows:
        if (np.diff(numbers[part]) == 0).any():
            raise ValueError("one trajectory twice in a chain: measure streams one by one")
    return rows


def _h5_flow_numbers(file: h5py.File, first: Series) -> Series:
    """`first`, or a series with the numbers of the flow where it has its own: a stream's."""
    flow = file.get("flow")
    if not isinstance(flow, h5py.Group) or not isinstance(flow.get("trajectory"), h5py.Dataset):
        return first
    numbers = _whole(np.atleast_2d(flow["trajectory"][()]))
    return Series([], 1 if numbers is None else trajectory_numbers.spacing_of(numbers), "", numbers)


def _h5_flow(group: h5py.Group) -> tuple[NDArray, dict[str, list[NDArray]]]:
    """Times, and per name a table [n, times] of each chain."""
    flow = group.get("flow")
    if not isinstance(flow, h5py.Group):
        return np.zeros(0), {}
    times = flow["t"][()]
    tables = {name: flow[name][()] for name in FLOWED}
    if (rows := _h5_rows(group)) is not None:
        return times, {name: [table[part] for part in rows] for name, table in tables.items()}
    return times, {name: list(table if table.ndim == 3 else table[None])
                   for name, table in tables.items()}
