"""What a stream writes beside its configurations: an append-only log, and history.h5 made from it.

log.jsonl holds one line per trajectory, "<crc32 in hex> <JSON>", with one entry per chain in each
column; numbers are written so that reading returns the same bits, NaN and infinity as text.
"""

import io
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.storage.atomic import replacing
from l2hmc_bridge.stream.state import Definition

# Column of a row: what history.h5 says of it. Each is one number per chain.
COLUMNS = {
    "trajectory": "number of the trajectory, continuing the start's",
    "delta_h": "dH = dK + dS",
    "log_det": "log|J|, 0 for HMC",
    "accepted": "1 where the proposal was accepted with min(1, exp(-dH + log|J|))",
    "plaquette": "mean of Re tr P / 3 after accept/reject",
    "plaquette_spatial": "the same over the planes xy, xz, yz",
    "plaquette_temporal": "the same over the planes tx, ty, tz",
    "topological_charge": "clover charge of the unflowed field, traceless field strength",
    "link_change": "(1/4V) sum |U' - U|^2 of the step, 0 on reject",
    "seconds": "wall-clock time of the step divided by the number of chains",
}
# What a row holds besides: one value for all chains.
EXTRAS = ("force_evaluations", "reunitarised", "reversibility")
NESTED = ("levels", "unsolved")  # of nested steps: {level: costs}, and 1 where a solver gave up
Row = Mapping[str, Any]


class Log:
    """The open log of a stream; `size` is its length in bytes, all of it complete lines."""

    def __init__(self, path: Path):
        """Start a new, empty log. Raises StreamError when it cannot be written."""
        self.path, self.size = path, 0
        self._file = _guarded(path, lambda: open(path, "wb", buffering=0))

    @classmethod
    def reopen(cls, path: Path, size: int, rows: int) -> tuple["Log", list[Row]]:
        """Cut the log back to its first `size` bytes and return the rows there.

        Raises StreamError unless these are exactly `rows` whole lines with fitting checksums.
        """
        data = _guarded(path, path.read_bytes)
        found = _parse(path, data[:size])
        if len(data) < size or len(found) != rows:
            raise StreamError(f"{path}: expected {rows} trajectories in {size} bytes, found "
                              f"{len(found)} in {len(data)}: the log was damaged")
        log = cls.__new__(cls)
        log.path, log.size = path, size
        log._file = _guarded(path, lambda: open(path, "r+b", buffering=0))
        log._file.truncate(size)
        log._file.seek(size)
        return log, found

    def append(self, row: Row) -> None:
        """Add one line; after a failure the log is as it was. Raises StreamError."""
        line = encode(row)
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, "No space left on device")
        except OSError as error:
            self._file.truncate(self.size)
            raise StreamError(f"{self.path}: could not be written: {error.strerror}") from error
        self.size += len(line)

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        _guarded(self.path, lambda: os.fsync(self._file.fileno()))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def encode(row: Row) -> bytes:
    """One line of the log."""
    text = json.dumps(_textual(dict(row)), separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def history(path: Path, rows: Sequence[Row], definition: Definition) -> None:
    """Write history.h5: every column as a dataset [chains, trajectories]; attributes of the stream.

    The group `reversibility` holds trajectory and defect of each check. Groups that others put
    into the file (flowed observables, ...) are carried over. Raises BridgeError.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, about in COLUMNS.items():
            data = np.array([row[name] for row in rows]).T
            file.create_dataset(name, data=_typed(name, data)).attrs["description"] = about
        for name in ("force_evaluations", "reunitarised"):
            file.create_dataset(name, data=np.array([row[name] for row in rows], dtype=np.int64))
        _write_levels(file, rows)
        checked = [row for row in rows if row["reversibility"] is not None]
        if checked:
            group = file.create_group("reversibility")
            group["trajectory"] = np.array([row["trajectory"] for row in checked]).T
            group["defect"] = np.array([row["reversibility"] for row in checked], dtype=float)
        file.attrs.update(attributes(definition))
        _carry_groups(path, file)
    with replacing(path, force=True) as file:
        file.write(buffer.getbuffer())


def _write_levels(file: h5py.File, rows: Sequence[Row]) -> None:
    """levels/NAME/forces, solves, iterations of each trajectory, and unsolved, of nested steps."""
    if not rows or "levels" not in rows[0]:
        return
    file["unsolved"] = np.array([row["unsolved"] for row in rows], dtype=np.uint8).T
    for name, costs in rows[0]["levels"].items():
        group = file.create_group(f"levels/{name}")
        for key in costs:
            group[key] = np.array([row["levels"][name][key] for row in rows])


def attributes(definition: Definition) -> dict[str, Any]:
    """What history.h5 says of its stream: numbers and text."""
    told = {**definition.record, **definition.record.get("provenance", {})}
    record = {key: value for key, value in told.items() if isinstance(value, str | int | float)}
    kernel = definition.kernel.stored()
    return {
        **record,
        "seed": definition.seed,
        "beta": definition.action["beta"],
        "action": definition.action["name"],
        "kernel": kernel["kind"],
        "convention": "traceless",  # of the topological charge
        "lattice": ",".join(map(str, definition.record.get("lattice", ()))),  # X,Y,Z,T
        "bundle_hash": kernel.get("hash") or "",
        "factor": definition.factor,
        "threads": definition.threads,
        "device": definition.device,
    }


def series(rows: Sequence[Row], name: str) -> list[list[float]]:
    """A column as one list per chain."""
    return [list(chain) for chain in zip(*(row[name] for row in rows), strict=True)]


def _carry_groups(path: Path, target: h5py.File) -> None:
    try:
        with h5py.File(path, "r") as old:
            for name in set(old) - set(target) - {"reversibility", "levels"}:
                if isinstance(old[name], h5py.Group):
                    old.copy(name, target)
    except (OSError, RuntimeError, KeyError):
        return  # none yet, or damaged: our own columns come from the log


def _typed(name: str, data: np.ndarray) -> np.ndarray:
    kinds = {"trajectory": np.int64, "accepted": np.uint8}
    return data.astype(kinds.get(name, np.float64))


def _parse(path: Path, data: bytes) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        stated, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or stated != b"%08x" % zlib.crc32(text):
            raise StreamError(f"{path}: line {number}: expected a line with checksum "
                              f"{zlib.crc32(text):08x}, found {stated[:8]!r}: the log was damaged")
        row = json.loads(text)
        more = tuple(name for name in NESTED if name in row)
        rows.append({name: _numeric(row[name]) for name in (*COLUMNS, *EXTRAS, *more)})
    return rows


def _textual(value: Any) -> Any:
    """JSON has no NaN: such numbers become "nan", "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _textual(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_textual(item) for item in value]
    return value


def _numeric(value: Any) -> Any:
    if isinstance(value, list):
        return [_numeric(item) for item in value]
    return float(value) if isinstance(value, str) else value


def _guarded(path: Path, action: Any) -> Any:
    try:
        return action()
    except OSError as error:
        raise StreamError(f"{path}: {error.strerror or error}") from error
