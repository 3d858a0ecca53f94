"""l2hmc_bridge.jsonl: what was done to a host's stream, one line of JSON per call, append-only.

A line is written before the configuration that it tells of. One whose configuration is not there
is an update that was cut short: repeated with the same seed it gives the same bits, and its line a
second time.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.storage import parsing

from .measured import finite

NAME = "l2hmc_bridge.jsonl"
LARGEST = 1 << 28
WHOLE = ("levels", "flow")  # tables in a row


def last(folder: Path, stream: str) -> dict[str, Any] | None:
    """The last entry about the stream of this name, None if there is none.

    Raises StreamError if a line is no such entry; an unfinished last line does not count.
    """
    found = [entry for entry in _entries(folder / NAME) if entry["stream"] == stream]
    return found[-1] if found else None


def trajectories(path: Path) -> list[dict[str, Any]]:
    """A record for each trajectory of ours, chains being the streams; of a repeated one the last.

    Raises StreamError.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for entry in _entries(path):
        for row in entry["rows"]:
            single = {name: value[0] if isinstance(value, list) else value
                      for name, value in row.items() if value is not None}
            rows[entry["stream"], single["trajectory"]] = {"chain": entry["stream"], **single}
    return list(rows.values())


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        try:
            entry = parsing.json_value(line, path, StreamError)
        except StreamError:
            entry = None
        if not _complete(entry):
            raise StreamError(f"{path}: line {number}: expected an entry of this package, found "
                              f"{line[:40]!r}")
        yield entry


def _complete(entry: Any) -> bool:
    """Whether an entry has all that a later call asks of it."""
    kinds = {"stream": str, "options": dict, "kernel": dict, "action": dict, "lattice": list,
             "factor": float, "rows": list}
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), kind) for name, kind in kinds.items()
    ) and 0 < entry["factor"] < math.inf and all(
        value is None or isinstance(value, str | int | float) for value in entry["options"].values()
    ) and all(map(_row, entry["rows"])) and (
        not entry.get("files") or all(isinstance(entry.get(name), str) for name in ("from", "to")))


def _row(row: Any) -> bool:
    """Whether this is what is known of a trajectory: a number, and columns of one chain."""
    if not isinstance(row, dict):
        return False
    number = row.get("trajectory")
    if not isinstance(number, list) or len(number) != 1 or type(number[0]) is not int:
        return False
    plain = str | int | float | None
    return all(
        isinstance(value, plain) or name in WHOLE and isinstance(value, dict)
        or isinstance(value, list) and len(value) == 1 and isinstance(value[0], plain)
        for name, value in row.items())


def append(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry and wait until it is on the disk. Raises StreamError."""
    path = folder / NAME
    line = json.dumps(finite(dict(entry)), separators=(",", ":")).encode() + b"\n"
    try:
        whole = sum(len(one) + 1 for one in _lines(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.truncate(descriptor, whole)
            if os.pwrite(descriptor, line, whole) != len(line):
                os.truncate(descriptor, whole)
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StreamError(f"{path}: could not be written: {error.strerror}") from error


def _lines(path: Path) -> list[bytes]:
    """The complete lines, without their ends."""
    if not path.exists():
        return []
    if path.stat().st_size > LARGEST:
        raise StreamError(f"{path}: expected at most {LARGEST} bytes (move it away)")
    return path.read_bytes().split(b"\n")[:-1]
