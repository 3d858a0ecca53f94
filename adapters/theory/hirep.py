"""The theory in the name of a HiRep configuration: beta, anisotropy or quarks; its file has none.

suN: NAME_TxXxYxZnc3b6.000000an1.000000nN (PureGauge/suN_utils.c: mk_gconf_name); hmc, whose gauge
action the name leaves out: NAME_TxXxYxZnc3rFUNnf2b5.600000m0.100000nN (HMC/hmc_utils.c).
"""

import re

from l2hmc_bridge.systems.theory import Theory

NUMBER = r"-?\d+\.\d+"
PURE = re.compile(rf".*nc3b(?P<beta>{NUMBER})(?:an(?P<anisotropy>{NUMBER}))?(?:n\d+)?")
QUARKS = re.compile(rf".*nc3r(?P<kind>[A-Z0-9]+)nf(?P<count>\d+)b(?P<beta>{NUMBER})"
                    rf"m(?P<mass>{NUMBER})(?:n\d+)?")


def read(name: str, source: str) -> Theory:
    """What a name, with its number or without, states; nothing if its user chose it."""
    if match := PURE.fullmatch(name):
        anisotropy = float(match["anisotropy"] or 1)
        other = None if anisotropy == 1 else f"anisotropy {anisotropy:g}"
        return Theory(source, "Wilson, by its name", 0.0, float(match["beta"]), other, (), True)
    if match := QUARKS.fullmatch(name):
        told = f"nf = {match['count']} ({match['kind']}), m = {float(match['mass']):g}"
        quarks = (told,) if int(match["count"]) else ()
        return Theory(source, None, None, float(match["beta"]), None, quarks, True)
    return Theory()
