"""Numbers as a log prints them, with how far ours may be from them."""

from collections.abc import Callable

from l2hmc_bridge.adapters.format.checks import parse_number, printed_unit
from l2hmc_bridge.analysis.references import Value


def printed(text: str, rounding: Callable[[float], float]) -> Value:
    """Within one unit of its last digit and its `rounding`; NaN, which no number of ours agrees
    with, for a text that is no number.
    """
    number = parse_number(text)
    if number is None:
        return Value(float("nan"), 0.0)
    return Value(number, printed_unit(text) + rounding(number))
