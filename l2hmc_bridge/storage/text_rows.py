"""Rows of tables that anybody may have written: JSON and CSV."""

import csv
import json
import re
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import FormatError

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def from_json(path: Path) -> list[dict[str, Any]]:
    """A list of records as `measure` writes it. Raises FormatError."""
    try:
        rows = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON, found {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError(f"{path}: expected a list of records, found another JSON value")
    return rows


def from_csv(path: Path) -> list[dict[str, Any]]:
    """Rows with numbers for fields that are such; an empty field is None. Raises FormatError."""
    try:
        rows = rows_of(path.read_text("utf-8-sig"))  # spreadsheets begin files with a sign for that
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected CSV, found {error}") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    return [{name: number(value) for name, value in row.items()} for row in rows]


def rows_of(text: str) -> list[dict[str, str]]:
    """The fields of CSV by the names in its first line. Raises FormatError."""
    try:
        names, *lines = list(csv.reader(text.splitlines())) or [[]]
    except csv.Error as error:
        raise FormatError(f"expected CSV, found {error}") from error
    names = [name.strip() for name in names]
    known = [name for name in names if name]  # spreadsheets have columns without any, too
    if all(NUMBER.fullmatch(name) for name in known):
        raise FormatError("expected CSV with a header line, found the first line "
                          f"{','.join(names)[:60]!r}")
    if len(set(known)) < len(known):
        raise FormatError(f"expected a name for each column, found {','.join(names)[:60]!r}")
    lines = [line for line in lines if line]
    if any(len(line) != len(names) for line in lines):
        raise FormatError("expected as many fields in every line as in the header")
    return [{name: text for name, text in zip(names, line, strict=True) if name}
            for line in lines]


def number(text: str) -> Any:
    """A field as a number, None if it is empty, the text itself if it is none."""
    if text.strip() == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": 1, "false": 0}.get(text.strip().lower(), text)
