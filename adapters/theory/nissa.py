"""The theory in nissa's record InputPars: lines `Key = value`, what has its default left away.

src/hmc/theory_pars.cpp (GaugeAction: Wilson, tlSym, Iwasaki; Beta 6), quark_pars.hpp.
"""

import re

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS
from l2hmc_bridge.systems.theory import Theory

ACTIONS = {"wilson": "wilson", "tlsym": "symanzik", "iwasaki": "iwasaki"}
LINE = re.compile(r"^[ \t]*(\w+)\s*=\s*\"?([^\"\n]*?)\"?[ \t]*$", re.MULTILINE)
TOPOLOGICAL = re.compile(r"^\s*TopoPotential\b", re.MULTILINE)


def read(text: str, source: str) -> Theory:
    """What the parameters of a run state."""
    pairs = LINE.findall(text)
    first = {key.lower(): value for key, value in reversed(pairs)}
    quarks = tuple(f"Quark {value}" for key, value in pairs if key == "Quark")
    named = first.get("gaugeaction", "Wilson")
    name = ACTIONS.get(named.lower())
    other = None if name else f"action {named}"
    if TOPOLOGICAL.search(text):
        other = "a topological potential"
    c1 = None if name is None else RECTANGLE_COEFFICIENTS[name]
    return Theory(source, f"GaugeAction {named}", c1, parse_number(first.get("beta", "6")), other,
                  quarks)
