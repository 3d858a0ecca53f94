"""Configurations against what others measured on them, one by one.

A difference that is only another convention is named as such and never passes for physics.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from l2hmc_bridge.analysis.check import Check
from l2hmc_bridge.analysis.references import NOT_COMPARED, Reference, Value, numbers_of, short_path

LOOPS = ("plaquette", "plaquette_spatial", "plaquette_temporal", "rectangle", "link_trace")
CLOVER = ("topological_charge", "topological_charge_5li", "energy_density")
Record = Mapping[str, Any]


def compare(
    records: Sequence[Record], references: Sequence[Reference], extra_allowed: bool = False,
    tolerance: float = 0.0,
) -> list[Check]:
    """Every value that both sides have, configuration by configuration; `tolerance` is added.

    Configurations without a reference, references without a configuration (unless
    `extra_allowed`) and other extents are rows of their own.
    """
    pairs, lonely, extra = match(records, references)
    checks = []
    for record, reference in pairs:
        checks.extend(_compare_one(record, reference, tolerance))
    if lonely:
        checks.append(_count_row("configurations missing from the table", lonely))
    if extra and not extra_allowed:
        checks.append(_count_row("configurations of the table not given", extra))
    return checks


def match(
    records: Sequence[Record], references: Sequence[Reference]
) -> tuple[list[tuple[Record, Reference]], list[str], list[str]]:
    """(pairs, labels of records left over, labels of references left over).

    By file name, with the folder of the chain if both have one, else by trajectory number;
    what fits several does not count. Where nothing fits, by order if both sides have the same
    number of configurations.
    """
    by_label = {one.label: one for one in references if one.path}
    by_name = _unique((_name(key), one) for key, one in by_label.items())
    by_number = _unique((one.trajectory, one) for one in references if one.trajectory is not None)
    names = Counter(_name(label(record)) for record in records)
    numbers = Counter(record.get("trajectory") for record in records)
    pairs, lonely = [], []
    for record in records:
        found = by_label.get(label(record))
        if found is None and names[_name(label(record))] == 1:
            found = by_name.get(_name(label(record)))
        if found is None and numbers[record.get("trajectory")] == 1:
            found = by_number.get(record.get("trajectory"))
        if found is None:
            lonely.append(label(record))
        else:
            pairs.append((record, found))
    anonymous = not any(one.path or one.trajectory is not None for one in references)
    if not pairs and len(records) == len(references) and (anonymous or len(records) == 1):
        return list(zip(records, references, strict=True)), [], []
    used = {id(reference) for _, reference in pairs}
    # A log also speaks of where a run started: without values of ours, or a number, or a name.
    extra = [one.label for one in references if id(one) not in used and (one.path or one.trajectory
                                                                         is not None or anonymous)]
    return pairs, lonely, extra


def not_compared(records: Sequence[Record], references: Sequence[Reference]) -> list[str]:
    """Names of numbers in the table that no configuration of ours has: they decide nothing."""
    ours = {name for record in records for name in numbers_of(record)}
    stated = {name for reference in references for name in reference.values}
    return sorted(stated - ours - {*NOT_COMPARED})


def label(record: Record) -> str:
    """The file's name, with the folder of its chain and the index in its file if it has one."""
    name = short_path(str(record["path"]))
    return f"{name}[{record['index']}]" if "index" in record else name


def _name(text: str) -> str:
    return text.rsplit("/", 1)[-1]


def _unique(pairs: Iterable[tuple[Any, Reference]]) -> dict[Any, Reference]:
    """What occurs under one key only."""
    pairs = list(pairs)
    counts = Counter(key for key, _ in pairs)
    return {key: one for key, one in pairs if counts[key] == 1}


def _compare_one(record: Record, reference: Reference, tolerance: float) -> list[Check]:
    name = label(record)
    ours_lattice = tuple(record.get("lattice") or ())
    if reference.lattice and ours_lattice and tuple(reference.lattice) != ours_lattice:
        shapes = ["x".join(map(str, shape)) for shape in (ours_lattice, reference.lattice)]
        return [Check(f"{name}: extents", 1.0, 0.0, 0.0,
                      f"other extents: {shapes[0]} here, {shapes[1]} in {reference.source}")]
    numbers = numbers_of(record)
    checks = [
        _row(f"{name}: {key}", key, numbers[key], value, tolerance, reference.source)
        for key, value in reference.values.items() if key in numbers
    ]
    points = {round(point["t"], 9): point for point in record.get("flow") or ()}
    for time, values in sorted(reference.flow.items()):
        point = points.get(round(time, 9), {})
        checks.extend(
            _row(f"{name}: {key} at t = {time:g}", key, point[key], value, tolerance,
                 reference.source)
            for key, value in values.items() if key in point
        )
    if not checks:
        checks = [Check(f"{name}: values in common", 0.0, 1.0, 0.0,
                        f"{reference.source} has none that is measured here")]
    return checks


def _row(
    name: str, key: str, ours: float, theirs: Value, tolerance: float, source: str
) -> Check:
    bound = theirs.tolerance + tolerance
    check = Check(name, ours, theirs.number, bound, source)
    why = None if check.passed else convention(key, ours, theirs.number, bound)
    return check._replace(source=f"{source}: {why}") if why else check


def convention(key: str, ours: float, theirs: float, bound: float) -> str | None:
    """What convention explains the difference, or None.

    >>> convention("plaquette", 0.6, 1.8, 1e-9)
    "looks like MILC's normalisation: 3 for the unit field"
    """
    bound = max(bound, 1e-6 * abs(theirs), 1e-12)
    if key in LOOPS or key.startswith(("plaquette_", "polyakov_loop", "wilson_loop")):
        if abs(3 * ours - theirs) <= 3 * bound:
            return "looks like MILC's normalisation: 3 for the unit field"
        if abs(1 - ours - theirs) <= bound:
            return "looks like 1 - plaquette"
        if abs(6 * ours - theirs) <= 6 * bound:
            return "looks like a sum over the six planes"
        if abs(ours - 3 * theirs) <= 3 * bound:
            return "looks divided by 3 once more"
    if key.startswith("topological_charge") and abs(ours + theirs) <= bound:
        return "looks like the opposite sign of Q, as SIMULATeQCD and openQCD have it"
    return None


def other_convention(
    checks: Sequence[Check], records: Sequence[Record], traceless: bool
) -> list[Check]:
    """The same rows; a clover row that fails but fits `records`, measured with the other
    convention of the field strength's trace, says so."""
    other: dict[str, float | None] = {}
    for record in records:
        for key, number in numbers_of(record).items():
            other[f"{label(record)}: {key}"] = number
        for point in record.get("flow") or ():
            for key in CLOVER:
                if key in point:
                    other[f"{label(record)}: {key} at t = {point['t']:g}"] = point[key]
    hint = "kept (GPT, Grid): --convention gpt" if traceless else "removed: --convention traceless"
    result = []
    for check in checks:
        found = other.get(check.name)
        if not check.passed and found is not None and _clover_row(check):
            if check._replace(ours=found).passed:
                note = f"{check.source}: looks like the trace of the field strength {hint}"
                check = check._replace(source=note)
        result.append(check)
    return result


def clover_failed(checks: Sequence[Check]) -> bool:
    """Whether a row fails that another convention of the trace could explain."""
    return any(not check.passed and _clover_row(check) for check in checks)


def _clover_row(check: Check) -> bool:
    return any(f": {key}" in check.name for key in CLOVER)


def _count_row(name: str, labels: Sequence[str]) -> Check:
    shown = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
    return Check(name, float(len(labels)), 0.0, 0.0, shown)
