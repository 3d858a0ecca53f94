"""The rectangle coefficients of the plaquette + rectangle actions, by name; no torch is needed."""

import math
import re
from typing import Any

from l2hmc_bridge.errors import ActionError

# c1; c0 = 1 - 8 c1.
RECTANGLE_COEFFICIENTS = {
    "wilson": 0.0,
    "symanzik": -1 / 12,  # tree level, Luescher and Weisz 1985
    "iwasaki": -0.331,  # Iwasaki 1983, hep-lat/9610023
    "dbw2": -1.4088,  # hep-lat/9806005, hep-lat/0011033
}
OTHER = re.compile(r"c1\s*[=:]\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]{1,3})?)")
PRINTED = 6e-7  # other codes print c1 with six digits after the point


def name_of(c1: float) -> str:
    """The name of this coefficient, or "c1=NUMBER", which `coefficient` takes too."""
    for name, known in RECTANGLE_COEFFICIENTS.items():
        if abs(known - c1) < 1e-15:
            return name
    return f"c1={c1!r}"


def coefficient(name: str) -> float:
    """c1 of an action's name ("iwasaki") or of "c1=-0.2"; ActionError lists the names."""
    if name in RECTANGLE_COEFFICIENTS:
        return RECTANGLE_COEFFICIENTS[name]
    match = OTHER.fullmatch(name)
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ActionError(f"action: expected one of {', '.join(RECTANGLE_COEFFICIENTS)} or "
                          f"c1=NUMBER, found {name!r}")
    return number


def printed_coefficient(c1: float) -> float:
    """The coefficient that a code printed with six digits: -1/12 for -0.083333."""
    for known in RECTANGLE_COEFFICIENTS.values():
        if abs(known - c1) <= PRINTED:
            return known
    return c1


def real(value: Any) -> float:
    """What is one number as a float, NaN for all else and for texts."""
    if isinstance(value, str | bytes):
        return math.nan
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan
