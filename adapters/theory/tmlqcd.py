"""The theory in tmLQCD's xlf-info: beta, c2_rec, kappa, mu, mubar, epsilonbar.

c2_rec is g_rgi_C1, the coefficient of the rectangle with c0 = 1 - 8 c1: ours (utils_write_xlf.c).
"""

from collections.abc import Mapping

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.systems.coefficients import printed_coefficient
from l2hmc_bridge.systems.theory import Theory

QUARKS = ("kappa", "mu", "2*kappa*mu", "2kappamu", "mubar", "epsilonbar", "csw")


def read(info: Mapping[str, str], source: str) -> Theory:
    """What the parameters state; nothing if c2_rec is not among them."""
    c1 = parse_number(info.get("c2_rec"))
    if c1 is None:
        return Theory(source)
    numbers = {name: parse_number(info.get(name)) for name in QUARKS}
    quarks = tuple(f"{name} = {number:g}" for name, number in numbers.items() if number)
    return Theory(source, f"c2_rec = {c1:g}", printed_coefficient(c1),
                  parse_number(info.get("beta")), None, quarks)
