"""What is known of each trajectory: one row, one entry for each chain in every column.

A row on disk is one line, "<crc32 in hex> <JSON>"; numbers are written so that reading returns the
same bits, NaN and infinity as text.
"""

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded.bounds import MOST_LEVELS, MOST_TIMES
from l2hmc_bridge.storage import parsing
from l2hmc_bridge.storage.parsing import Entries

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
# What a row holds besides, one value for all chains: force_evaluations, reunitarised, reversibility
# (max |U'' - U|, if it was measured), files (SHA-256 of the configurations written with this row),
# flow (if they were measured along it: t [times], each of FLOWED [chains][times]);
# of nested steps levels ({name: forces, solves, iterations}), unsolved (1 where a solver gave up).
WHOLE = ("trajectory", "accepted", "unsolved")
FLOWED = ("plaquette", "energy_density", "topological_charge")
COSTS = ("forces", "solves", "iterations")
NOT_FINITE = ("nan", "inf", "-inf")
ITEMS = 1 << 17  # of a line: all columns of the largest number of chains
Row = Mapping[str, Any]


def encode(row: Row) -> bytes:
    """One line of the log."""
    text = json.dumps(_textual(dict(row)), separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(path: Path, data: bytes, first: Sequence[int]) -> list[Row]:
    """The rows of a log whose chains start after the trajectories `first`.

    Raises StreamError at the first line that is damaged, no row, or out of its turn.
    """
    rows: list[Row] = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        where = f"{path}: line {number}"
        stated, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or stated != b"%08x" % zlib.crc32(text):
            raise StreamError(f"{where}: expected a line with checksum {zlib.crc32(text):08x}, "
                              f"found {stated[:8]!r}: the log was damaged")
        row = _row(Entries.of(parsing.json_value(text, where, StreamError, ITEMS), where,
                              StreamError), len(first))
        expected = [one + number for one in first]
        if row["trajectory"] != expected:
            raise StreamError(f"{where}: expected trajectory {expected[0]}, found "
                              f"{row['trajectory'][0]}: the log of another stream, or altered")
        rows.append(row)
    return rows


def series(rows: Sequence[Row], name: str) -> list[list[float]]:
    """A column as one list per chain."""
    return [list(chain) for chain in zip(*(row[name] for row in rows), strict=True)]


def _row(given: Entries, chains: int) -> dict[str, Any]:
    row: dict[str, Any] = {name: _column(given, name, chains) for name in COLUMNS}
    checked, files = given.values.get("reversibility"), given.values.get("files")
    row["force_evaluations"] = given.whole("force_evaluations")
    row["reunitarised"] = given.whole("reunitarised", 0, 1)
    row["reversibility"] = None if checked is None else _number(given, "reversibility", checked)
    row["files"] = None if files is None else _digests(given, chains)
    if "flow" in given.values:
        row["flow"] = _flow(given.table("flow"), chains)
    if "levels" in given.values:
        row["levels"] = _levels(given.table("levels"))
        row["unsolved"] = _column(given, "unsolved", chains)
    return row


def _flow(given: Entries, chains: int) -> dict[str, list[Any]]:
    """{"t": flow times, each of FLOWED: [chains][times]}."""
    times = given.listed("t", 1, MOST_TIMES)
    found: dict[str, list[Any]] = {"t": [_number(given, "t", one) for one in times]}
    for name in FLOWED:
        tables = given.listed(name, chains, chains)
        if not all(isinstance(one, list) and len(one) == len(times) for one in tables):
            given.refuse(name, f"{len(times)} numbers for each chain", tables)
        found[name] = [[_number(given, name, one) for one in line] for line in tables]
    return found


def _levels(given: Entries) -> dict[str, dict[str, float]]:
    """{name: costs} of each level of a nested step."""
    if not 1 <= len(given.values) <= MOST_LEVELS:
        given.refuse("levels", f"1 to {MOST_LEVELS} levels", given.values)
    each = {name: given.table(name) for name in given.values}
    return {name: {key: one.whole(key) if key != "iterations" else one.number(key, 0)
                   for key in COSTS} for name, one in each.items()}


def _column(given: Entries, name: str, chains: int) -> list[Any]:
    values = given.listed(name, chains, chains)
    if name in WHOLE:
        if not all(type(value) is int for value in values):
            given.refuse(name, "whole numbers", values)
        return values
    return [_number(given, name, value) for value in values]


def _number(given: Entries, name: str, value: Any) -> float:
    """A number, or the text of one that is not finite."""
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if not parsing.finite(value):
        given.refuse(name, f"numbers or {', '.join(NOT_FINITE)}", value)
    return value


def _digests(given: Entries, chains: int) -> list[str]:
    values = given.listed("files", chains, chains)
    if not all(isinstance(value, str) and len(value) == 64 for value in values):
        given.refuse("files", "SHA-256 of each configuration", values)
    return values


def _textual(value: Any) -> Any:
    """JSON has no NaN: such numbers become "nan", "inf", "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _textual(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_textual(item) for item in value]
    return value
