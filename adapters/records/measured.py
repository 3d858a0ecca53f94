"""Measured records to files and back: JSON, CSV and HDF5, and into a stream's history."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from l2hmc_bridge import __version__
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.storage.atomic import replacing

# How it was measured, and what the files state of their theory.
STATED = ("convention", "flow_kernel", "flow_step", "flow_tolerance", "action", "beta", "quarks")
FLOWED = ("plaquette", "energy_density", "topological_charge")
GROUP = "measurements"  # in history.h5; what a resumed stream rebuilds does not touch it


def to_json(records: Sequence[dict[str, Any]]) -> str:
    """A list of records; what is not finite becomes null."""
    return json.dumps(finite(list(records)), indent=1, allow_nan=False)


def finite(value: Any) -> Any:
    """The same with None for numbers that are not finite, which JSON has not."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_csv(records: Sequence[dict[str, Any]]) -> str:
    """One row per configuration, nested values in columns of their own (see `flatten`)."""
    rows = [flatten(record) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def flatten(record: dict[str, Any]) -> dict[str, Any]:
    """Scalars keep their name; plaquette_planes -> plaquette_tx ..., flow -> flow_0.1_plaquette."""
    row = {}
    for name, value in record.items():
        if name == "flow":
            for point in value:
                row.update({f"flow_{point['t']:g}_{key}": point[key] for key in FLOWED})
        elif name == "plaquette_planes":
            row.update({f"plaquette_{plane}": number for plane, number in value.items()})
        elif name == "polyakov_loops":
            for direction, (real, imag) in value.items():
                row[f"polyakov_loop_{direction}_real"] = real
                row[f"polyakov_loop_{direction}_imag"] = imag
        elif name == "smeared":
            row.update({f"smeared_{key}": number for key, number in value.items()})
        elif name == "wilson_loops":
            for r, line in enumerate(value, 1):
                row.update({f"wilson_loop_{r}x{t}": number for t, number in enumerate(line, 1)})
        elif name == "lattice" and isinstance(value, list):
            row[name] = "x".join(str(extent) for extent in value)
        elif not isinstance(value, list):
            row[name] = value
    return row


def write_text(path: Path, text: str, force: bool) -> None:
    """A whole text file or none."""
    with replacing(path, force) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def write_h5(path: Path, records: Sequence[dict[str, Any]], force: bool) -> None:
    """Datasets [n] in the order of the records, `chain` among them; flow/t [m], flow/<name> [n,m].
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        _fill(file, records)
        file.create_dataset("chain", data=[record["chain"] for record in records])
        file.create_dataset("path", data=[record["path"] for record in records],
                            dtype=h5py.string_dtype())
    with replacing(path, force) as file:
        file.write(memory.getvalue())


def extend_history(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Put the records into group "measurements" of a stream's history.h5, [chains, n] each.

    The file is copied, extended and renamed; an older group is replaced. Raises FormatError where
    the chains differ in length or a trajectory number is unknown.
    """
    chains = sorted({record["chain"] for record in records})
    rows = {chain: sorted((r for r in records if r["chain"] == chain),
                          key=lambda r: r["trajectory"]) for chain in chains}
    lengths = {len(rows[chain]) for chain in chains}
    if len(lengths) != 1 or any(record["trajectory"] is None for record in records):
        raise FormatError(f"{path}: expected numbered configurations, as many in every chain, "
                          f"found {', '.join(map(str, sorted(lengths)))} in {len(chains)} chains")
    content = path.read_bytes() if path.exists() else b""
    memory = io.BytesIO(content)
    with h5py.File(memory, "a" if content else "w") as file:
        if GROUP in file:
            del file[GROUP]
        group = file.create_group(GROUP)
        _fill(group, [record for chain in chains for record in rows[chain]])
        shape = (len(chains), len(rows[chains[0]]))
        _reshape(group, shape)
        group.create_dataset("chain", data=chains)
    with replacing(path, force=True) as file:
        file.write(memory.getvalue())


def _reshape(group: h5py.Group, shape: tuple[int, int]) -> None:
    """[chains * n, ...] -> [chains, n, ...] for every dataset but flow/t."""
    for place in (group, group.get("flow", {})):
        for name in list(place):
            if isinstance(place[name], h5py.Dataset) and name != "t":
                data = place[name][()]
                del place[name]
                place.create_dataset(name, data=data.reshape(shape + data.shape[1:]))


def _fill(group: h5py.Group, records: Sequence[dict[str, Any]]) -> None:
    group.attrs["l2hmc_bridge_version"] = __version__
    for name in STATED:
        values = {record[name] for record in records if name in record}
        if len(values) == 1:
            group.attrs[name] = values.pop()
    rows = [flatten(record) for record in records]
    for name in dict.fromkeys(name for row in rows for name in row):
        if name.startswith("flow_") or name in ("path", "chain", "lattice"):
            continue
        column = [row.get(name) for row in rows]
        if all(value is None or isinstance(value, int | float) for value in column):
            whole = all(isinstance(value, int) for value in column)
            data = np.array([np.nan if value is None else value for value in column],
                            dtype=np.int64 if whole else np.float64)
            group.create_dataset(name, data=data)
    points = records[0]["flow"] if records else []
    if points:
        flow = group.create_group("flow")
        flow.create_dataset("t", data=[point["t"] for point in points])
        for name in FLOWED:
            table = [[point[name] for point in record["flow"]] for record in records]
            flow.create_dataset(name, data=np.array(table))
