"""QEX's HMC logs: MEASplaq and MEASploop of every trajectory (src/examples/*hmc*.nim).

The lines of a trajectory stand before "traj N secs"; those before the first trajectory are of the
file that was loaded. ss, st and the loops are 1 on the unit field; the spatial Polyakov loop is the
mean of three directions, which is not measured here.
"""

import re

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.analysis.references import Extents, Log, Reference, Value, four

PLAQUETTES = re.compile(r"MEASplaq ss: (\S+)\s+st: (\S+)\s+tot: (\S+)\s*$")
LOOPS = re.compile(r"MEASploop spatial: (\S+) (\S+) temporal: (\S+) (\S+)\s*$")
TRAJECTORY = re.compile(r"(?:\[[^\]]*\] )?traj (\d+) secs: ")
LOADED = re.compile(r"(?:\[[^\]]*\] )?loaded gauge from file: (\S+)")
LATTICE = re.compile(r"lat: (\d+) (\d+) (\d+) (\d+)\s*$")
MEASURED = re.compile(r"(MEAS(?!plaq|ploop)\w+)")
ROUNDING = 1e-12
PLANES = ("plaquette_spatial", "plaquette_temporal", "plaquette")
LOOP = ("polyakov_loop_t_real", "polyakov_loop_t_imag")


def recognise(text: str) -> bool:
    """A line of either measurement."""
    return re.search(r"^MEASplaq ss: ", text, re.MULTILINE) is not None


def parse(text: str) -> Log:
    """One Reference per trajectory, and one for the start; what a broken-off one had is dropped."""
    result: list[Reference] = []
    one, ignored = Reference("QEX log"), {"dH": None}
    lattice: Extents | None = None
    begun = False
    for line in text.splitlines():
        if match := PLAQUETTES.match(line):
            _store(one, zip(PLANES, match.groups(), strict=True))
        elif match := LOOPS.match(line):
            _store(one, zip(LOOP, match.groups()[2:], strict=True))
            ignored["spatial Polyakov loop"] = None
        elif match := TRAJECTORY.match(line):
            one.trajectory = int(match[1])
            result.append(one)
            one = Reference("QEX log")
        elif match := LOADED.match(line):
            one.path = match[1]
        elif match := LATTICE.match(line):
            lattice = four(match.groups())
        elif "Begin H:" in line and not begun:
            begun = True  # what was measured before is the start
            if one.values:
                result.append(one)
            one = Reference("QEX log")
        elif match := MEASURED.match(line):
            ignored[match[1]] = None
    for reference in result:
        reference.lattice = lattice
    remarks = [] if not one.values else ["the log ends within a trajectory, which is left out"]
    return Log(result, remarks if result else [], list(ignored))


def _store(one: Reference, pairs) -> None:
    for name, text in pairs:
        number = parse_number(text)
        if number is not None:
            one.values[name] = Value(number, printed_unit(text) + ROUNDING)
