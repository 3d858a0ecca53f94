"""GPT's logs: lines `GPT : <seconds> s : message`; what a message says depends on the script.

Understood are the messages of GPT's own programs (applications/hmc) and of its readers, and every
`name = number` or `name: number` with one of NAMES: plaquettes are 1 on the unit field, charge and
energy density keep the trace of the field strength (lib/gpt/core/log.py, qcd/gauge/topology.py).
"""

import re

from l2hmc_bridge.analysis.references import RELATIVE, Log, Reference, Value

from .printed import printed

PREFIX = re.compile(r"^(?:GPT :\s+[\d.]+ s :|\s{20,}:)\s?", re.MULTILINE)
NUMBER = r"([-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|(?:nan|inf)\b))"
NAMES = {
    "plaquette": "plaquette",
    "p": "plaquette",
    "link_trace": "link_trace",
    "link trace": "link_trace",
    "topological_charge": "topological_charge",
    "topological charge": "topological_charge",
    "q": "topological_charge",
    "topological_charge_5li": "topological_charge_5li",
    "topological charge 5li": "topological_charge_5li",
    "q_5li": "topological_charge_5li",
    "energy_density": "energy_density",
    "energy density": "energy_density",
    "e": "energy_density",
}
PAIR = re.compile(
    rf"(?<![\w.])({'|'.join(sorted(map(re.escape, NAMES), key=len, reverse=True))})"
    rf"(?:\s*[=:]\s*|\s+)\(?{NUMBER}",
    re.IGNORECASE,
)
TIME = re.compile(rf"(?<![\w.])(?:flow time|t)\s*[=:]\s*{NUMBER}", re.IGNORECASE)
TRAJECTORY = re.compile(r"\bTrajectory\s+(\d+)", re.IGNORECASE)
FILE = re.compile(r"(?:file format; reading|^Reading|^Loading)\s+(\S+)")


def recognise(text: str) -> bool:
    """Lines with GPT's clock."""
    return bool(re.search(r"^GPT :\s+[\d.]+ s :", text, re.MULTILINE))


def parse(text: str) -> Log:
    """A new Reference per file read, per trajectory, and if a value comes a second time."""
    result: list[Reference] = []
    for line in text.splitlines():
        if not PREFIX.match(line):
            continue
        message = PREFIX.sub("", line)
        if match := FILE.search(message):
            result.append(_new(path=match.group(1)))
        elif match := TRAJECTORY.search(message):
            result.append(_new(trajectory=int(match.group(1))))
        found = {NAMES[name.lower()]: _value(number) for name, number in
                 reversed(PAIR.findall(message))}  # the first of two of a name counts
        if found:
            _store(result, found, TIME.search(message))
    return Log([one for one in result if one.values or one.flow])


def _store(result: list[Reference], found: dict[str, Value], time: re.Match | None) -> None:
    if not result:
        result.append(_new())
    if time is not None and float(time.group(1)) > 0:
        result[-1].flow.setdefault(round(float(time.group(1)), 12), {}).update(found)
        return
    if result[-1].flow or set(found) & set(result[-1].values) and not _repeats(result[-1], found):
        result.append(_new())
    result[-1].values.update(found)


def _repeats(one: Reference, found: dict[str, Value]) -> bool:
    """Whether the new values are the known ones again (a header and then a measurement)."""
    return all(
        abs(one.values[name].number - value.number)
        <= one.values[name].tolerance + value.tolerance + 1e-6 * abs(value.number)
        for name, value in found.items() if name in one.values
    )


def _new(**what) -> Reference:
    return Reference("GPT log", traceless=False, **what)


def _value(text: str) -> Value:
    return printed(text, lambda number: RELATIVE * abs(number))
