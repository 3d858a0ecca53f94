"""The theory in the log of an openQCD run: beta, c0, c1, boundaries, quarks.

main/ym1.c and qcd1.c, modules/flags/lat_parms.c: c0 + 8 c1 = 1, as ours. A log holds the
parameters of every run that wrote to it: the last ones count.
"""

import re
from collections.abc import Iterable

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.systems.coefficients import printed_coefficient
from l2hmc_bridge.systems.theory import Theory

COUPLING = re.compile(r"beta\s*=\s*([^\s,]+)")
RECTANGLE = re.compile(r"c0\s*=\s*[^\s,]+,\s*c1\s*=\s*([^\s,]+)")
BOUNDARY = re.compile(r"((?:Open|SF|Open-SF|Periodic) boundary conditions)")
KIND = re.compile(r"Simulation of (QCD.*|the SU\(3\) gauge theory)")
KAPPA = re.compile(r"kappa\[[ \d]+\] = \S+")


def read(lines: Iterable[str], source: str) -> Theory:
    """What the log states. Raises FormatError for a beta that is no number."""
    c1, beta, boundary = None, None, None
    quarks: tuple[str, ...] | None = None
    for line in lines:
        if match := COUPLING.match(line):
            beta = parse_number(match[1])
            if beta is None:
                raise FormatError(f"{source}: expected a number for beta, found {match[1][:40]!r}")
        elif match := RECTANGLE.match(line):
            c1 = parse_number(match[1])
        elif match := BOUNDARY.match(line):
            boundary = None if match[1].startswith("Periodic") else match[1]
        elif match := KIND.match(line):
            quarks = () if "gauge" in match[1] else (line.strip(),)
        elif KAPPA.match(line) and quarks:
            quarks = tuple(dict.fromkeys((*quarks, line.strip())))
    named = None if c1 is None else f"c1 = {c1:g}"
    return Theory(source, named, None if c1 is None else printed_coefficient(c1), beta, boundary,
                  quarks)
