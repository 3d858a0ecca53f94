"""nissa: the file gauge_obs of a run, and what its programs print of a configuration they read.

gauge_obs (projects/generate_confs/generate.cpp), tab-separated: configuration, accepted, [steps of
smoothing], two averages, [energy], [Polyakov loop re im]. The averages are the temporal and the
spatial plaquette, or, if the action has rectangles, plaquette and rectangle: the file does not say
which. A rectangle is farther from 1 than a plaquette: twice on smooth fields, a third more on
rough ones, while the two plaquettes differ by a few percent. All are 1 on the unit field.
"""

import re

from l2hmc_bridge.analysis.references import Log, Reference, Value

from .printed import printed

NUMBER = r"[ +-]*\d\S*"
LINE = re.compile(rf"(\d+)\t([01])(?:\t(\d+))?\t({NUMBER})\t({NUMBER})((?:\t{NUMBER})*)\s*")
READ = re.compile(r"Reading conf from file: (\S+)")
PRINTED = re.compile(r"(?:Plaquette of read conf|plaq): *([-+]?\d\S*)")
ROUNDING = 1e-12
RECTANGULAR = 1.15


def recognise(text: str) -> bool:
    """A first line of gauge_obs, or what nissa prints when it has read a configuration."""
    first = text.lstrip("\n").split("\n", 1)[0]
    return LINE.fullmatch(first) is not None or "Plaquette of read conf:" in text


def parse(text: str) -> Log:
    """One Reference per configuration."""
    if "Plaquette of read conf:" in text:
        return _printed(text)
    result: list[Reference] = []
    ignored, broken = {"accepted": None}, 0
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            broken += bool(line.strip())
        elif match[3] not in (None, "0"):
            ignored["smoothed configurations"] = None
        else:
            one = Reference("nissa gauge_obs", trajectory=int(match[1]))
            one.values.update(_averages(match[4].strip(), match[5].strip()))
            result.append(one)
            if match[6]:
                ignored["energy, Polyakov loop (columns without a name)"] = None
    remarks = [f"{broken} lines are none of a configuration"] if broken else []
    return Log(result, remarks, list(ignored))


def _averages(first: str, second: str) -> dict[str, Value]:
    one, other = (_value(text) for text in (first, second))
    if 1 - other.number > RECTANGULAR * (1 - one.number) > 0:
        return {"plaquette": one, "rectangle": other}
    mean = Value((one.number + other.number) / 2, (one.tolerance + other.tolerance) / 2)
    return {"plaquette_temporal": one, "plaquette_spatial": other, "plaquette": mean}


def _printed(text: str) -> Log:
    result: list[Reference] = []
    path = None
    for line in text.splitlines():
        if match := READ.search(line):
            path = match[1]
        elif match := PRINTED.search(line):
            if not result or result[-1].path != path:
                result.append(Reference("nissa log", path))
            result[-1].values.setdefault("plaquette", _value(match[1]))
    return Log(result)


def _value(text: str) -> Value:
    return printed(text, lambda _: ROUNDING)
