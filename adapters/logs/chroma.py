"""Chroma's XML: plaquettes per update, Polyakov loops, naive charge, Wilson flow.

lib/meas/inline/glue/inline_plaquette.cc (all 1 on the unit field), inline_qtop_naive.cc (traceless;
with k5 = 0 the plain clover), inline_qactden.cc (keeps the trace), wilson_flow_w.cc.
"""

import math
from collections.abc import Iterator
from xml.parsers import expat

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.analysis.references import RELATIVE, Reference, Value
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
DEEPEST = 64


def recognise(text: str) -> bool:
    """XML that holds one of the tags read here."""
    tags = ("<w_plaq>", "<qtop>", "<naiveTopCharge>")
    return text.lstrip().startswith("<") and any(tag in text for tag in tags)


def parse(text: str) -> list[Reference]:
    """One Reference per update number, or one for a measurement job. Raises FormatError."""
    result: dict[int | None, Reference] = {}
    lattice, update, improved = None, None, 0.0
    for path, content in _leaves(text):
        name = path[-1]
        if name in ("latt_size", "nrow") and lattice is None:
            extents = content.split()
            lattice = tuple(map(int, extents)) if len(extents) == 4 else None
        elif name == "update_no":
            update = int(content) if content.isdigit() else None
        elif name == "k5":
            improved = parse_number(content) or 0.0
        elif "linksmear" in path:
            continue  # measured on smeared links
        elif name in NAMES or name in ("qtop", "naiveTopCharge"):
            _store(result, update, name, content, improved)
        elif name in ("wflow_step", "wflow_gact4i", "wflow_gactij"):
            _flow(result.setdefault(update, _new(update)), name, content)
    for one in result.values():
        one.lattice = lattice
        _close_flow(one)
    return list(result.values())


def _store(
    result: dict[int | None, Reference], update: int | None, name: str, text: str, improved: float
) -> None:
    number = parse_number(text)
    if name == "qtop" and improved != 0:
        return
    if number is None and text.strip().lower().lstrip("+-") not in ("nan", "inf"):
        return
    number = math.nan if number is None else number  # NaN: no number of ours agrees with it
    one = result.setdefault(update, _new(update))
    if name in NAMES:
        # Chroma is mostly built in single precision: basePrecision 32.
        tolerance = printed_unit(text) + 2e-7 * max(abs(number), 0.1)
        one.values.setdefault(NAMES[name], Value(number, tolerance))
    else:
        one.traceless = name == "qtop"
        one.values.setdefault("topological_charge",
                              Value(number, printed_unit(text) + 1e-6 * abs(number) + 2e-8))


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
    while all(f"{name} {index}" in pending for name in
              ("wflow_step", "wflow_gact4i", "wflow_gactij")):
        step, temporal, spatial = (
            pending[f"{name} {index}"] for name in ("wflow_step", "wflow_gact4i", "wflow_gactij")
        )
        total = temporal.number + spatial.number
        one.flow[round(step.number, 12)] = {"energy_density": Value(total, 1e-6 * abs(total))}
        index += 1
    if index > 1:
        one.flow_step, one.traceless = sorted(one.flow)[1], False


def _new(update: int | None) -> Reference:
    return Reference("Chroma XML", trajectory=update)


def _leaves(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(tags from the root, text) of every element without children; no DOCTYPE, no entities."""
    found: list[tuple[tuple[str, ...], str]] = []
    stack: list[str] = []
    collected: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        if len(stack) >= DEEPEST:
            raise FormatError(f"expected XML of at most {DEEPEST} levels, found more")
        stack.append(name)
        collected.clear()

    def end(_name: str) -> None:
        if collected:
            found.append((tuple(stack), "".join(collected).strip()))
        stack.pop()
        collected.clear()

    def doctype(*_arguments) -> None:
        raise FormatError("expected XML without DOCTYPE, found one")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = collected.append
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise FormatError(f"expected XML, found {error}") from error
    return iter(found)
