"""Grid's HMC logs: Plaquette, Polyakov Loop and Topological Charge of every trajectory.

Grid/qcd/observables/*.h: "NAME: [ N ] value", N the number of the checkpoint that is written after
the trajectory; loops are 1 on the unit field. The first plaquette of a number is that of the field,
a second one of the smeared field. The charge keeps the trace of the field strength; after a line T0
it is that of a flowed field.
"""

import re

from l2hmc_bridge.analysis.references import RELATIVE, Extents, Log, Reference, Value, four

from .printed import printed

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LINE = re.compile(r"Grid\s*: \w+\s*:(?: [^:]+ :)? *(.*)")
MEASURED = re.compile(r"(Plaquette|Polyakov Loop|Topological Charge|T0) *: \[ (\d+) \] *(\S+)")
LATTICE = re.compile(r"Full Dimensions\s*: \[(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")
PAIR = re.compile(r"\(([^,]+),([^)]+)\)")


def recognise(text: str) -> bool:
    """Lines of Grid's logger with a trajectory or one of the measurements."""
    plain = COLOUR.sub("", text[: 1 << 22])
    return re.search(r"^Grid\s*: \w+\s*:.*(?:-- # Trajectory = |Plaquette: \[ )", plain,
                     re.MULTILINE) is not None


def parse(text: str) -> Log:
    """One Reference per checkpoint number."""
    found: dict[int, Reference] = {}
    ignored: dict[str, None] = {}
    lattice: Extents | None = None
    flowed: set[int] = set()
    for line in COLOUR.sub("", text).splitlines():
        said = LINE.match(line)
        if said is None:
            continue
        if match := LATTICE.search(said[1]):
            lattice = lattice or four(match.groups())
        elif match := MEASURED.match(said[1]):
            name, number, value = match[1], int(match[2]), match[3]
            one = found.setdefault(number, Reference("Grid log", trajectory=number,
                                                     traceless=False))
            if name == "T0":
                flowed.add(number)
                ignored["T0"] = None
            elif name == "Topological Charge" and number in flowed:
                ignored["Topological Charge of the flowed field"] = None
            elif name == "Plaquette" and "plaquette" in one.values:
                ignored["plaquette of the smeared field"] = None
            else:
                _store(one, name, value)
        elif "dH = " in said[1]:
            ignored["dH"] = None
    for one in found.values():
        one.lattice = lattice
    return Log([one for one in found.values() if one.values], [], list(ignored))


def _store(one: Reference, name: str, text: str) -> None:
    if name == "Polyakov Loop":
        pair = PAIR.match(text)
        for part, word in zip(("real", "imag"), pair.groups() if pair else (), strict=False):
            one.values[f"polyakov_loop_t_{part}"] = _value(word)
    else:
        key = {"Plaquette": "plaquette", "Topological Charge": "topological_charge"}[name]
        one.values[key] = _value(text)


def _value(text: str) -> Value:
    return printed(text, lambda number: RELATIVE * max(abs(number), 1e-3))
