"""tmLQCD's output.data: one line a trajectory, no header (src/lib/update_tm.c).

Trajectory (eight digits), plaquette, dH, exp(-dH), two iteration counts for each monomial with a
solver, accepted, seconds, and with a rectangle in the action its average; loops are 1 on the unit
field. After a reject the plaquette is that of the old field, as it should.
"""

import re

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.analysis.references import Log, Reference, Value

LINE = re.compile(r"(\d{8}) +(-?\d\.\d{12}) +(\S+) +(\S+) (?:\d+ \d+ )*([01]) (\S+e[-+]\d+)"
                  r"(?: (\S+e[-+]\d+))?\s*")
ROUNDING = 1e-12  # beyond the twelve digits that are printed


def recognise(text: str) -> bool:
    """The first line is one of these."""
    return LINE.fullmatch(text.lstrip("\n").split("\n", 1)[0]) is not None


def parse(text: str) -> Log:
    """One Reference per trajectory; of a repeated one the last."""
    found: dict[int, Reference] = {}
    remarks, broken = [], 0
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            broken += bool(line.strip())
            continue
        number = int(match[1])
        one = Reference("tmLQCD output.data", trajectory=number)
        one.values["plaquette"] = Value(float(match[2]), printed_unit(match[2]) + ROUNDING)
        rectangle = parse_number(match[7])
        if rectangle is not None:
            one.values["rectangle"] = Value(rectangle, printed_unit(match[7]) + ROUNDING)
        found[number] = one
    if broken:
        remarks.append(f"{broken} lines are none of a trajectory")
    return Log(list(found.values()), remarks, ["dH", "exp(-dH)", "solver iterations", "accepted",
                                               "seconds"])
