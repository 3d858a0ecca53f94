"""Chroma's XML: plaquettes, Polyakov loops, naive charge and Wilson flow, update by update.

A job `chroma` measures one configuration, whatever update_no its records state; runs (hmc, purgaug)
have one for each <Update>. lib/meas/glue/mesplq.cc, polylp.cc (all 1 on the unit field),
inline_qtop_naive.cc (traceless; with k5 = 0 the plain clover), inline_qactden.cc (keeps the trace),
wilson_flow_w.cc. Records of other fields than the default one (smeared, fixed) are not compared.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.adapters.formats.lime.markup import Element, tree
from l2hmc_bridge.analysis.references import RELATIVE, Log, Reference, Value
from l2hmc_bridge.errors import FormatError

NAMES = {
    "w_plaq": "plaquette",
    "s_plaq": "plaquette_spatial",
    "t_plaq": "plaquette_temporal",
    "link": "link_trace",
    "plane_01_plaq": "plaquette_xy",
    "plane_02_plaq": "plaquette_xz",
    "plane_12_plaq": "plaquette_yz",
    "plane_03_plaq": "plaquette_tx",
    "plane_13_plaq": "plaquette_ty",
    "plane_23_plaq": "plaquette_tz",
}
CHARGES = ("qtop", "naiveTopCharge")
LOOPS = ("poly_loop", "pollp")
FLOW = ("wflow_step", "wflow_gact4i", "wflow_gactij")
OWN_FIELD = "default_gauge_field"
# What speaks of the run and not of its fields, and what was measured on smeared links.
PARAMETERS = ("Input", "Param", "Params", "ProgramInfo", "Config_info", "RNG", "NamedObject",
              "Output_version", "HMCTrajectory")
SMEARED = ("linksmear", "Link_observables", "Smeared_Observables")
NO_NUMBERS = ("update_no", "k5", "WarmUpP", "decay_dir", "t_dir", "out_version", "xml_file")


def recognise(text: str) -> bool:
    """XML that holds one of the tags read here, or a job of Chroma's."""
    tags = ("<w_plaq>", "<qtop>", "<naiveTopCharge>", "<poly_loop>", "<wflow_step>")
    return text.lstrip().startswith("<") and any(tag in text for tag in (*tags, "<chroma>"))


@dataclass
class _Reader:
    """What has been read: by update number, None for the one of a measurement job."""

    measuring: bool
    gauge: dict[int, str] = field(default_factory=dict)  # id of a record's element: its field
    found: dict[int | None, Reference] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def parse(text: str) -> Log:
    """One Reference per update number, or one for a measurement job. Raises FormatError.

    Of XML that breaks off what comes before is read, and a remark says where.
    """
    root, broken = tree(text.encode())
    if not root.children:
        raise FormatError(f"expected XML, found {broken}")
    top = root.children[0]
    reader = _Reader(top.name == "chroma")
    if broken is not None:
        reader.remarks.append(f"the XML breaks off: {broken}; what stands before is compared")
    _fields(top, reader)
    _walk(top, None, reader)
    lattice = _lattice(root)
    for one in reader.found.values():
        one.lattice = lattice
        one.path = top.word("Input", "chroma", "Cfg", "cfg_file") if reader.measuring else None
        _close_flow(one)
    return Log(list(reader.found.values()), reader.remarks, list(reader.ignored))


def _fields(top: Element, reader: _Reader) -> None:
    """Which gauge field each record was measured on: the inputs stand in the same order."""
    given = next((one for one in top.walk() if one.name == "InlineMeasurements"), None)
    names = [(one.word("NamedObject", "gauge_id") or OWN_FIELD,
              int(parse_number(one.word("Frequency")) or 1)) for one in given.children
             ] if given is not None else []
    for update in top.walk():
        if update.name not in ("Update", "chroma"):
            continue
        number = int(parse_number(update.word("update_no")) or 0)
        done = [name for name, frequency in names if number % max(1, frequency) == 0]
        records = update.child("InlineObservables")
        if records is not None:
            # A run measures its own plaquette before what is asked for.
            first = 0 if reader.measuring else max(0, len(records.children) - len(done))
            for record, name in zip(records.children[first:], done, strict=False):
                reader.gauge[id(record)] = name


def _walk(one: Element, number: int | None, reader: _Reader) -> None:
    """Values of an element and those below it, under the update that they belong to."""
    if one.name in PARAMETERS:
        return
    other = reader.gauge.get(id(one), OWN_FIELD)
    if one.name in SMEARED or other != OWN_FIELD:
        what = one.children[0].name if one.name == "elem" and one.children else one.name
        on = f" of {other}" if other != OWN_FIELD else ""
        reader.ignored[f"{what}{on}"] = None
        return
    stated = one.word("update_no")
    if stated is not None and not reader.measuring:
        number = int(stated) if stated.isdigit() else None
        if one.name == "Update" and number in reader.found:
            reader.remarks.append(f"update {number} stands twice: the later one counts")
            del reader.found[number]
    charge = one.child("k5") is None or not (parse_number(one.word("k5")) or 0.0)
    for child in one.children:
        if child.name in LOOPS:
            _loops(child, number, reader)
        elif child.children:
            _walk(child, number, reader)
        elif child.name in NAMES or child.name in CHARGES and charge:
            _store(child.name, child.text, number, reader)
        elif child.name in FLOW:
            _flow(_reference(number, reader), child.name, child.text)
        elif _numeric(child.text) and child.name not in NO_NUMBERS:
            reader.ignored[child.name if one.name == "elem" else f"{one.name} {child.name}"] = None


def _numeric(text: str) -> bool:
    words = text.split(maxsplit=1)
    return bool(words) and parse_number(words[0]) is not None


def _reference(number: int | None, reader: _Reader) -> Reference:
    return reader.found.setdefault(number, Reference("Chroma XML", trajectory=number))


def _store(name: str, text: str, update: int | None, reader: _Reader) -> None:
    number = parse_number(text)
    if number is None and text.strip().lower().lstrip("+-") not in ("nan", "inf"):
        return
    number = math.nan if number is None else number  # NaN: no number of ours agrees with it
    one = _reference(update, reader)
    if name in NAMES:
        # Chroma is mostly built in single precision: basePrecision 32.
        value = Value(number, printed_unit(text) + 2e-7 * max(abs(number), 0.1))
        _first(one, NAMES[name], value, name, reader)
    else:
        value = Value(number, printed_unit(text) + 1e-6 * abs(number) + 2e-8)
        if "topological_charge" not in one.values:
            one.traceless = name == "qtop"
        _first(one, "topological_charge", value, name, reader)


def _first(one: Reference, key: str, value: Value, name: str, reader: _Reader) -> None:
    """The first value of a name counts; another one is said."""
    known = one.values.setdefault(key, value)
    if abs(known.number - value.number) > known.tolerance + value.tolerance:
        reader.ignored[f"{name} a second time ({value.number:.9g})"] = None


def _loops(loops: Element, number: int | None, reader: _Reader) -> None:
    """(re, im) of the directions x, y, z, t."""
    for direction, elem in zip("xyzt", loops.children, strict=False):
        for part, tag in (("real", "re"), ("imag", "im")):
            text = elem.word(tag) or ""
            value = parse_number(text)
            if value is not None:
                tolerance = printed_unit(text) + 2e-7 * max(abs(value), 0.1)
                _first(_reference(number, reader), f"polyakov_loop_{direction}_{part}",
                       Value(value, tolerance), loops.name, reader)


def _lattice(root: Element) -> tuple[int, int, int, int] | None:
    """The extents that the program states, else those of its input."""
    def stated(name: str) -> Iterator[list[str]]:
        return (one.text.split() for one in root.walk() if one.name == name)

    for words in (*stated("latt_size"), *stated("nrow")):
        if len(words) == 4 and all(word.isdigit() for word in words):
            x, y, z, t = map(int, words)
            return x, y, z, t
    return None


def _flow(one: Reference, name: str, text: str) -> None:
    """Lists over the steps; kept under their own name until all three are there."""
    pending = one.flow.setdefault(-1.0, {})
    for index, word in enumerate(text.split()):
        number = parse_number(word)
        if number is not None:
            pending[f"{name} {index}"] = Value(number, printed_unit(word) + RELATIVE)


def _close_flow(one: Reference) -> None:
    pending = one.flow.pop(-1.0, {})
    index = 0
    while all(f"{name} {index}" in pending for name in FLOW):
        step, temporal, spatial = (pending[f"{name} {index}"] for name in FLOW)
        total = temporal.number + spatial.number
        one.flow[round(step.number, 12)] = {"energy_density": Value(total, 1e-6 * abs(total))}
        index += 1
    if index > 1:
        one.flow_step, one.traceless = sorted(one.flow)[1], False
