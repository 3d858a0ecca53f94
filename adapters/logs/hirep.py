"""HiRep's logs: plaquette, Wilson flow and Polyakov loop of what its programs update or read.

Programs suN (PureGauge), hmc and WF_measure; loops are 1 on the unit field. A line of the flow has
t, E = 2 sum_{mu<nu} (3 - Re tr P) per site, E of the clover, and the charge, whose sign changes
here: HiRep's eps_{0123} = +1 has 0 = t (LibHR/Utils/wilsonflow.c: WF_topo), ours x,y,z,t. Its
clover has no trace: components F^a. Means over time slices (open boundaries, anisotropy) are not
read.
"""

import re
from typing import NamedTuple

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.analysis.references import Extents, Log, Reference, Value, four

from .printed import printed

LINE = re.compile(r"\[([A-Z_ ]+)\]\[\d+\](.*)")
LATTICE = re.compile(r"Global size is (\d+)x(\d+)x(\d+)x(\d+)")  # T,X,Y,Z
TRAJECTORY = re.compile(r"Trajectory #(\d+)\.\.\.")
PLAQUETTE = re.compile(r"(?:Initial p|P)laquette:? ([^\s,]+)")
SAVED = re.compile(r"Configuration \[(.+)\] saved ")
READ = re.compile(r"Configuration \[(.+)\] read .* Plaquette=(\S+)")
FROM = re.compile(r"Configuration from (\S+)")
FLOW = re.compile(r"WF \(t,E,t2\*E,Esym,t2\*Esym,TC\) = (\S+) (\S+) \S+ (\S+) \S+ (\S+)$")
STEP = re.compile(r"WF initial epsilon(?:=|: )(\S+)")
SCHEME = re.compile(r"WF integrator type: (\d)")
LOOP = re.compile(r"Polyakov direction 0 = (\S+) (\S+)$")
NOT_COMPARED = {"0": "flow by Euler's steps", "2": "flow by adaptive steps"}
ROUNDING = 1e-12


class _Flow(NamedTuple):
    """How the flow is integrated, as the log states it first."""

    step: float | None = None
    scheme: str | None = None


def recognise(text: str) -> bool:
    """The lines of its logger about lattice or configurations."""
    return re.search(r"^\[(?:GEOMETRY_INIT\]\[0\]Global size is \d|IO\]\[0\]Configuration \[|"
                     r"WILSONFLOW\]\[0\]WF )", text, re.MULTILINE) is not None


def parse(text: str) -> Log:
    """One Reference per trajectory, or per configuration that was read."""
    found: dict[int | str | None, Reference] = {}
    one = Reference("HiRep log")
    lattice: Extents | None = None
    flow, ignored = _Flow(), dict[str, None]()
    for line in text.splitlines():
        said = LINE.match(line)
        if said is None:
            continue
        if match := LATTICE.match(said[2]):
            t, *space = match.groups()
            lattice = four([*space, t])
        elif match := STEP.match(said[2]):
            flow = flow._replace(step=parse_number(match[1]))
        elif match := SCHEME.match(said[2]):
            flow = flow._replace(scheme=match[1])
        elif (key := _begun(said[2], one)) is not None:
            one = found[key] = Reference("HiRep log", key if isinstance(key, str) else None,
                                         key if isinstance(key, int) else None, traceless=True)
        ignored.update(dict.fromkeys(_stored(one, said[2], flow)))
    for reference in found.values():
        reference.lattice = lattice
    return Log([one for one in found.values() if one.values or one.flow], [], list(ignored))


def _begun(said: str, one: Reference) -> int | str | None:
    """The trajectory or file that a line begins: a file is named twice when it is read."""
    if match := TRAJECTORY.match(said):
        return int(match[1])
    match = FROM.match(said) or READ.match(said)
    return None if match is None or match[1] == one.path else match[1]


def _stored(one: Reference, said: str, flow: _Flow) -> list[str]:
    """Take the numbers of a line; what of it is not compared."""
    if match := PLAQUETTE.match(said):
        one.values["plaquette"] = _value(match[1])
        return ["smeared plaquette"] if "Smeared" in said else []
    if match := SAVED.match(said):
        one.path = match[1]
    elif match := READ.match(said):
        one.values["plaquette"] = _value(match[2])
    elif match := LOOP.match(said):
        for part, text in zip(("real", "imag"), match.groups(), strict=True):
            one.values[f"polyakov_loop_t_{part}"] = _value(text)
    elif match := FLOW.match(said):
        return _flowed(one, match.groups(), flow)
    elif said.startswith(("WF (T,t,", "WF avg ")):
        return ["flow by time slices"]
    return []


def _flowed(one: Reference, numbers: tuple[str, ...], flow: _Flow) -> list[str]:
    """Values at one flow time: those of the field itself at t = 0."""
    time, (plaquette, clover, charge) = parse_number(numbers[0]), map(_value, numbers[1:])
    if time is None or time and flow.scheme in NOT_COMPARED:
        return [NOT_COMPARED.get(flow.scheme or "", "flow")]
    values = {"energy_density": clover, "topological_charge": charge.scaled(-1)}
    if time == 0:
        one.values.update(values, energy_density_plaquette=plaquette)
        return []
    mean = plaquette.scaled(-1 / 36)
    one.flow[time] = values | {"plaquette": mean._replace(number=1 + mean.number)}
    one.flow_step = flow.step
    return []


def _value(text: str) -> Value:
    return printed(text, lambda number: ROUNDING * max(1.0, abs(number)))
