"""history.h5: the columns of a stream for others to read, made from its rows.

Groups that others put into the file stay when it is made anew, unless they are of another stream:
a group of measurements has to know the stream by its attribute `stream`, or by the plaquettes of
its own trajectories.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.recorded.rows import COLUMNS, FLOWED, Row
from l2hmc_bridge.storage import regular
from l2hmc_bridge.storage.atomic import replacing

NAME, MEASURED, FLOW = "history.h5", "measurements", "flow"
STREAM, DIGEST = "stream", "log_digest"  # attributes
SAME = 1e-6  # of plaquettes: a stream may write its configurations in single precision


def write(path: Path, rows: Sequence[Row], definition: Definition, digest: str) -> None:
    """Write every column as a dataset [chains, trajectories], and attributes of the stream.

    `digest`: of the log that has these rows. The group `reversibility` holds trajectory and defect
    of each check. Groups of others are carried over. Raises BridgeError, StreamError for groups of
    another stream.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, about in COLUMNS.items():
            data = np.array([row[name] for row in rows]).T
            file.create_dataset(name, data=_typed(name, data)).attrs["description"] = about
        for name in ("force_evaluations", "reunitarised"):
            file.create_dataset(name, data=np.array([row[name] for row in rows], dtype=np.int64))
        _write_levels(file, rows)
        _write_flow(file, rows)
        checked = [row for row in rows if row["reversibility"] is not None]
        if checked:
            group = file.create_group("reversibility")
            group["trajectory"] = np.array([row["trajectory"] for row in checked]).T
            group["defect"] = np.array([row["reversibility"] for row in checked], dtype=float)
        file.attrs.update({**attributes(definition), DIGEST: digest})
        _carry_groups(path, file)
    with replacing(path, force=True) as target:
        target.write(buffer.getbuffer())


def _write_levels(file: h5py.File, rows: Sequence[Row]) -> None:
    """levels/NAME/forces, solves, iterations of each trajectory, and unsolved, of nested steps."""
    if not rows or "levels" not in rows[0]:
        return
    file["unsolved"] = np.array([row["unsolved"] for row in rows], dtype=np.uint8).T
    for name, costs in rows[0]["levels"].items():
        group = file.create_group(f"levels/{name}")
        for key in costs:
            group[key] = np.array([row["levels"][name][key] for row in rows])


def _write_flow(file: h5py.File, rows: Sequence[Row]) -> None:
    """flow/t [times], flow/trajectory [chains, n], flow/NAME [chains, n, times] of what was
    measured while the stream ran."""
    measured = [row for row in rows if "flow" in row]
    if not measured:
        return
    group = file.create_group(FLOW)
    group["t"] = np.array(measured[0]["flow"]["t"])
    group["trajectory"] = np.array([row["trajectory"] for row in measured]).T
    for name in FLOWED:
        group[name] = np.array([row["flow"][name] for row in measured]).swapaxes(0, 1)


def attributes(definition: Definition) -> dict[str, Any]:
    """What history.h5 says of its stream: numbers and text."""
    told = {**definition.record, **definition.record.get("provenance", {})}
    record = {_text(key): _text(value) if isinstance(value, str) else value
              for key, value in told.items() if isinstance(value, str | int | float)}
    kernel = definition.kernel.stored()
    flow = {"flow_kernel": "wilson", "flow_step": definition.flow_step}
    return {
        **record,
        **(flow if definition.flow_time else {}),
        STREAM: definition.identity,
        "seed": definition.seed,
        "beta": definition.action["beta"],
        "action": definition.action["name"],
        "kernel": kernel["kind"],
        "convention": "traceless",  # of the topological charge
        "lattice": ",".join(map(str, definition.record.get("lattice", ()))),  # X,Y,Z,T
        "bundle": _text(str(kernel.get("bundle") or "")),
        "bundle_hash": kernel.get("hash") or "",
        "factor": definition.factor,
        "threads": definition.threads,
        "device": definition.device,
    }


def require_own(path: Path, rows: Sequence[Row], definition: Definition) -> None:
    """Raise StreamError if a group of the history that lies at `path` is of another stream."""
    if regular.kind(path) is None:
        return
    try:
        with regular.reading(path, StreamError, links=False) as raw, h5py.File(raw, "r") as file:
            group = file.get(MEASURED)
            if isinstance(group, h5py.Group):
                trajectories, plaquettes = (_column(rows, name)
                                            for name in ("trajectory", "plaquette"))
                require_same(path, group, definition.identity, trajectories, plaquettes)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return  # damaged: nothing of it is carried over


def require_same(
    path: Path, group: h5py.Group, stream: str | None, trajectories: NDArray, plaquettes: NDArray
) -> None:
    """Raise StreamError unless a group of measurements belongs to these rows, [chains, n].

    stream: the identity of the stream, if it is known.
    """
    stated = group.attrs.get(STREAM)
    if isinstance(stated, str) and stream is not None and stated != stream:
        raise StreamError(f"{path}: group {group.name}: expected measurements of this stream "
                          f"({stream[:12]}), found those of {stated[:12]} (remove the group, then "
                          "`measure --extend`)")
    known = [{int(n): float(p) for n, p in zip(*chain, strict=True)}
             for chain in zip(np.atleast_2d(trajectories), np.atleast_2d(plaquettes), strict=True)]
    for chain, number, plaquette in _measured(group):
        rows = known[chain] if 0 <= chain < len(known) else {}
        if rows and (number > max(rows) or number == min(rows) - 1):
            continue  # the start, and what a killed run wrote and will write again
        own = rows.get(number)
        if own is None or not abs(own - plaquette) <= SAME:
            found = "none" if own is None else f"{own:.8f}"
            raise StreamError(
                f"{path}: group {group.name}: expected measurements of this stream, found "
                f"plaquette {plaquette:.8f} at trajectory {number} of chain {chain}, where the "
                f"stream has {found} (remove the group, then `measure --extend`)")


def _measured(group: h5py.Group) -> list[tuple[int, int, float]]:
    """(chain, trajectory, plaquette) of each measured configuration, as far as the group says."""
    numbers, values = (group.get(name) for name in ("trajectory", "plaquette"))
    if not isinstance(numbers, h5py.Dataset) or not isinstance(values, h5py.Dataset):
        return []
    if numbers.shape != values.shape or numbers.ndim > 2:
        return []
    labels = group.get("chain")
    trajectories, plaquettes = (np.atleast_2d(one[()]) for one in (numbers, values))
    chains = (np.arange(len(trajectories)) if not isinstance(labels, h5py.Dataset)
              else np.atleast_1d(labels[()]))
    if chains.shape != (len(trajectories),):
        return []
    return [(int(chain), int(number), float(value))
            for chain, row, found in zip(chains, trajectories, plaquettes, strict=True)
            for number, value in zip(row, found, strict=True)]


def _carry_groups(path: Path, target: h5py.File) -> None:
    if regular.kind(path) is None:
        return
    try:
        with regular.reading(path, StreamError, links=False) as raw, h5py.File(raw, "r") as old:
            for name in set(old) - set(target) - {"reversibility", "levels", FLOW}:
                if isinstance(old.get(name, getlink=True), h5py.HardLink) and isinstance(
                        old[name], h5py.Group):
                    old.copy(name, target)
    except (OSError, RuntimeError, KeyError):
        return  # damaged: our own columns come from the log


def _column(rows: Sequence[Row], name: str) -> NDArray:
    return np.array([row[name] for row in rows]).T if rows else np.empty((0, 0))


def _typed(name: str, data: NDArray) -> NDArray:
    kinds: Mapping[str, Any] = {"trajectory": np.int64, "accepted": np.uint8}
    return data.astype(kinds.get(name, np.float64))


def _text(value: str) -> str:
    """Text that HDF5 can hold: names of files need not be UTF-8, and NUL ends a string."""
    return value.replace("\0", " ").encode("utf-8", "backslashreplace").decode()
