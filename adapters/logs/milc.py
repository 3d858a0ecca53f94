"""MILC's logs: CHECK PLAQ of a file read or written, GMES of a run, WFLOW of its flow program.

MILC 7.8: generic/io_helpers.c (plaquettes are 3 on the unit field, the link trace 1),
pure_gauge/control.c (GMES: Polyakov loop, iterations, spatial and temporal plaquette),
wilson_flow/integrate.c (E = -sum tr F^2 over three planes per site, F traceless).
"""

import math
import re
from dataclasses import dataclass

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.analysis.references import Log, Reference, Value
from l2hmc_bridge.errors import FormatError

# Most MILC programs run in single precision: what its sums of 1e4..1e7 terms leave uncertain.
SINGLE = {"relative": 2e-7, "charge": 2e-8}
FILE = re.compile(r"(?:Restored|Saved) .*gauge configuration.* file (\S+)")


@dataclass
class _State:
    """What the lines so far said of those to come."""

    file: str | None = None
    step: float | None = None
    kernel: str | None = None
    between: int = 1
    measured: int = 0


def recognise(text: str) -> bool:
    """The banner, or one of the lines read here."""
    return bool(re.search(r"^(?:MIMD version|GMES |WFLOW |CHECK PLAQ:)", text, re.MULTILINE))


def parse(text: str) -> Log:
    """One Reference per file read or written, and one per GMES line, numbered from 1."""
    result: list[Reference] = []
    extents: dict[str, int] = {}
    state = _State()
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in ("nx", "ny", "nz", "nt") and words[1].isdigit():
            extents[words[0]] = int(words[1])
        elif len(words) == 2 and words[0] == "traj_between_meas" and words[1].isdigit():
            state.between = int(words[1])
        elif len(words) == 2 and words[0] == "stepsize":
            state.step = parse_number(words[1])
        elif line.startswith("set staple to"):
            state.kernel = words[-1]
        elif match := FILE.match(line):
            state.file = match.group(1)
        elif line.startswith("CHECK PLAQ:") and len(words) == 4:
            one = _new(extents, path=state.file)
            _plaquettes(one, words[2], words[3])
            result.append(one)
        elif line.startswith("CHECK NERSC LINKTR:") and len(words) >= 4 and result:
            result[-1].values["link_trace"] = _value(words[3])
        elif words[:1] == ["GMES"] and len(words) >= 6:
            state.measured += 1
            one = _new(extents, trajectory=state.measured * state.between)
            one.values["polyakov_loop_t_real"] = _value(words[1]).scaled(1 / 3)
            _plaquettes(one, words[4], words[5])
            result.append(one)
        elif words[:1] == ["WFLOW"] and result:
            _flow_line(result[-1], words, state)
    return Log(result)


def _new(
    extents: dict[str, int], path: str | None = None, trajectory: int | None = None
) -> Reference:
    lattice = None
    if len(extents) == 4:
        lattice = extents["nx"], extents["ny"], extents["nz"], extents["nt"]
    return Reference("MILC log", path, trajectory, lattice, traceless=True)


def _plaquettes(one: Reference, spatial: str, temporal: str) -> None:
    """ss and st are 3 on the unit field."""
    values = [_value(text).scaled(1 / 3) for text in (spatial, temporal)]
    one.values["plaquette_spatial"], one.values["plaquette_temporal"] = values
    mean = Value(sum(v.number for v in values) / 2, sum(v.tolerance for v in values) / 2)
    one.values["plaquette"] = mean


def _flow_line(one: Reference, words: list[str], state: _State) -> None:
    time = parse_number(words[1]) if len(words) == 5 else None
    if time is None:  # programs derived from MILC print other columns
        raise FormatError(f"expected WFLOW time Et Es charge, found {' '.join(words)}")
    temporal, spatial, charge = map(_value, words[2:])
    digits = _unit(words[4], charge.number)
    one.flow[round(time, 12)] = {
        "energy_density": Value(temporal.number + spatial.number,
                                temporal.tolerance + spatial.tolerance),
        "topological_charge": Value(charge.number, digits + SINGLE["charge"]),
    }
    one.flow_step, one.flow_kernel = state.step, state.kernel


def _value(text: str) -> Value:
    """A number with the uncertainty of its digits; few digits mean single precision."""
    number = parse_number(text)
    if number is None:
        return Value(math.nan, 0.0)  # no number of ours agrees with it
    unit = _unit(text, number)
    single = SINGLE["relative"] * max(abs(number), 0.1) if unit > 1e-12 else 1e-12
    return Value(number, unit + single)


def _unit(text: str, number: float) -> float:
    """One unit in the last digit, of six at least where %g may have dropped trailing zeros."""
    if not abs(number) > 0:
        return printed_unit(text)
    sixth = 10.0 ** (math.floor(math.log10(abs(number))) - 5)
    return min(printed_unit(text), sixth)
