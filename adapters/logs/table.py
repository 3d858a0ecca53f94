"""Reference values from others: tables (JSON, CSV) and logs of other codes, known by content."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.analysis.references import RELATIVE, Log, Reference, Value
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.observables.flow import KERNELS
from l2hmc_bridge.observables.standard import CONVENTIONS
from l2hmc_bridge.storage.text_rows import rows_of

from . import chroma, gpt, grid, hirep, milc, nissa, openqcd, qex, tmlqcd

LONGEST = 400  # letters of a message about a log, which may quote it
ALIASES = {
    "topological_charge_5LI": "topological_charge_5li",
    "Q": "topological_charge",
    "q": "topological_charge",
    "plaq": "plaquette",
    "polyakov_loop_re": "polyakov_loop_t_real",
    "polyakov_loop_im": "polyakov_loop_t_imag",
}
# Text logs by what they contain; the first parser that recognises the head reads the file.
PARSERS: dict[str, tuple[Callable[[str], bool], Callable[[str], Log]]] = {
    "chroma": (chroma.recognise, chroma.parse),
    "gpt": (gpt.recognise, gpt.parse),
    "grid": (grid.recognise, grid.parse),
    "hirep": (hirep.recognise, hirep.parse),
    "milc": (milc.recognise, milc.parse),
    "qex": (qex.recognise, qex.parse),
    "tmlqcd": (tmlqcd.recognise, tmlqcd.parse),
    "nissa": (nissa.recognise, nissa.parse),
}
NOT_VALUES = ("path", "file", "trajectory", "chain", "index", "lattice", "lattice_xyzt",
              "convention", "flow_step", "flow_tolerance", "flow_kernel")
NOT_FINITE = ("nan", "inf", "infinity")
LARGEST = 1 << 28


def read_log(path: Path, lattice: tuple[int, int, int, int] | None = None) -> Log:
    """What a table or log says: configurations in its order, remarks, what is not compared.

    `lattice` (X,Y,Z,T) is needed for openQCD's energy, whose file states T alone.
    Raises FormatError if nothing is recognised or nothing is in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path}: expected a table or log, found none")
    if path.stat().st_size > LARGEST:
        raise FormatError(f"{path}: expected a table or log below {LARGEST >> 20} MiB")
    raw = path.read_bytes()
    try:
        log = _parse(path, raw, lattice)
    except FormatError as error:
        said = " ".join(str(error).split())
        said = said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."
        raise FormatError(f"{path}: {said}") from error
    if not any(reference.values or reference.flow for reference in log.references):
        ignored = f" (only {', '.join(log.ignored[:12])})" if log.ignored else ""
        raise FormatError(f"{path}: expected values of configurations that are measured here, "
                          f"found none{ignored}")
    return log


def _parse(path: Path, raw: bytes, lattice: tuple[int, int, int, int] | None) -> Log:
    if openqcd.recognise(raw) or path.name.endswith(".ms.dat"):
        return Log(openqcd.parse(raw, lattice))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError("expected text, or openQCD's .ms.dat, found other bytes") from error
    if "\0" in text[:512]:
        raise FormatError("expected text, or openQCD's .ms.dat, found other bytes")
    if path.suffix == ".json":
        return Log(_from_json(text))
    for recognise, parse in PARSERS.values():
        if recognise(text):
            return parse(text)
    if text.lstrip()[:1] in ("[", "{"):
        return Log(_from_json(text))
    if "," in text.split("\n", 1)[0]:
        return Log(_from_csv(text))
    raise FormatError(f"expected JSON, CSV or a log of {', '.join(PARSERS)}, openqcd; "
                      "found no mark of any")


def _from_json(text: str) -> list[Reference]:
    """A list of records, or {file name: record}; {"files": {...}} is looked into."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"expected JSON, found {error}") from error
    if isinstance(content, dict) and isinstance(content.get("files"), dict):
        content = content["files"]
    if isinstance(content, dict) and all(isinstance(v, dict) for v in content.values()):
        content = [{"path": name, **record} for name, record in content.items()]
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise FormatError("expected a list of records or a table of them by file name")
    return [_checked(record) for record in content]


def _from_csv(text: str) -> list[Reference]:
    return [_checked(row) for row in rows_of(text)]


def _checked(record: Mapping[str, Any]) -> Reference:
    try:
        return _from_record(record)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        label = record.get("path") or record.get("file") or record.get("trajectory")
        raise FormatError(f"record of {label}: expected trajectory and extents as numbers and flow "
                          f"points with t, found {error!r}") from error


def _from_record(record: Mapping[str, Any]) -> Reference:
    result = Reference("table", record.get("path") or record.get("file") or None)
    if result.path and record.get("index") not in (None, ""):
        result.path = f"{result.path}[{record['index']}]"
    if record.get("trajectory") not in (None, ""):
        result.trajectory = int(record["trajectory"])
    extents = record.get("lattice", record.get("lattice_xyzt"))
    if isinstance(extents, str):
        extents = extents.replace(",", "x").split("x")
    if extents:
        x, y, z, t = map(int, extents)
        result.lattice = x, y, z, t
    if record.get("convention") in CONVENTIONS:
        result.traceless = record["convention"] == CONVENTIONS[0]
    if record.get("flow_step"):
        result.flow_step = parse_number(str(record["flow_step"]))
    if record.get("flow_tolerance"):
        result.flow_tolerance = parse_number(str(record["flow_tolerance"]))
    if record.get("flow_kernel") in KERNELS:
        result.flow_kernel = record["flow_kernel"]
    for name, entry in record.items():
        if name in NOT_VALUES:
            continue
        if name == "flow" and isinstance(entry, list):
            _add_flow(result, entry)
        elif name in ("polyakov_loop", "polyakov_loops"):
            _add_loops(result, entry)
        elif name == "plaquette_planes" and isinstance(entry, Mapping):
            for plane, number in entry.items():
                _put(result.values, f"plaquette_{plane}", number)
        elif name.startswith("flow_"):
            time, kind = name[5:].split("_", 1)
            if (number := parse_number(time)) is not None:
                _put(result.flow.setdefault(number, {}), kind, entry)
        else:
            _put(result.values, ALIASES.get(name, name), entry)
    return result


def _add_flow(result: Reference, points: list[Mapping[str, Any]]) -> None:
    for point in points:
        values = result.flow.setdefault(round(float(point["t"]), 12), {})
        for name, entry in point.items():
            if name != "t":
                _put(values, ALIASES.get(name, name), entry)


def _add_loops(result: Reference, entry: Any) -> None:
    """[re, im] of the time direction, a real number, or {direction: [re, im]}."""
    directions = entry if isinstance(entry, Mapping) else {"t": entry}
    for direction, parts in directions.items():
        parts = parts if isinstance(parts, list) else [parts]
        for part, number in zip(("real", "imag"), parts, strict=False):
            _put(result.values, f"polyakov_loop_{direction}_{part}", number)


def _put(values: dict[str, Value], name: str, entry: Any) -> None:
    """A number or its text; a number with fewer digits than a float has was rounded to them."""
    if isinstance(entry, bool) or not isinstance(entry, int | float | str):
        return
    text = entry if isinstance(entry, str) else repr(entry)
    number = parse_number(text)
    if number is None:
        if text.strip().lower().lstrip("+-") in NOT_FINITE:
            values[name] = Value(math.nan, 0.0)  # no number of ours agrees with it
        return
    tolerance = RELATIVE * max(abs(number), 1e-3)
    if len(text.split("e")[0].strip("-+0.").replace(".", "")) < 15:
        unit = printed_unit(text)
        tolerance = max(tolerance, unit if isinstance(entry, str) else min(unit, 1e-6))
    values[name] = Value(number, tolerance)
