"""Rows of tables that anybody may have written: JSON and CSV."""

import csv
import json
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import FormatError


def from_json(path: Path) -> list[dict[str, Any]]:
    """A list of records as `measure` writes it. Raises FormatError."""
    try:
        rows = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON, found {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError(f"{path}: expected a list of records, found another JSON value")
    return rows


def from_csv(path: Path) -> list[dict[str, Any]]:
    """Rows with numbers for fields that are such; an empty field is None. Raises FormatError."""
    try:
        rows = list(csv.DictReader(path.read_text().splitlines()))
    except (csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: expected CSV with a header line, found {error}") from error
    if any(None in row or None in row.values() for row in rows):
        raise FormatError(f"{path}: expected as many fields in every line as in the header")
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(text: str) -> Any:
    if text.strip() == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": 1, "false": 0}.get(text.strip().lower(), text)
