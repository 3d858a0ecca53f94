"""The theory in MILC's parameters, in an .info file or a SciDAC record.

The plaquette has coefficient 1, the rectangle of "Symanzik 1x1 + 1x2" -1 / (20 u0^2), both times
beta11 / 3 (generic/imp_actions/*.h): as Chroma's LW_TREE. A third loop (1x1x1) is none of ours.
"""

import re
from collections.abc import Mapping

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.systems.coefficients import printed_coefficient
from l2hmc_bridge.systems.theory import Theory

PLAQUETTE = re.compile(r"\s*(?:one|single) plaq(?:u?)ette(?: gauge)? action\.?\s*", re.IGNORECASE)
TREE = re.compile(r"\s*symanzik 1x1 \+ 1x2 action\s*", re.IGNORECASE)
QUARK = re.compile(r"quark\.(?:dyn_)?(?:flavors|mass)\d*(?:\[\d+\])?")


def read(info: Mapping[str, str], source: str) -> Theory:
    """What the keys action.*, gauge.* and quark.* state."""
    kind, gauge = info.get("action.description", ""), info.get("gauge.description", "")
    if not kind and not gauge:
        return Theory(source)
    named, quarks = gauge or None, _quarks(info, kind)
    if "schroedinger" in kind.lower() or "bc_flag" in gauge:
        return Theory(source, named, other=f"Schroedinger functional ({kind or gauge})",
                      quarks=quarks)
    beta = parse_number(info.get("gauge.beta11"))
    if PLAQUETTE.fullmatch(gauge):
        return Theory(source, named, 0.0, beta, None, quarks)
    tadpole = parse_number(info.get("gauge.tadpole.u0"))
    if TREE.fullmatch(gauge) and tadpole:
        share = -1 / (20 * tadpole**2)
        scale = 1 + 8 * share
        return Theory(source, f"{gauge}, u0 = {tadpole:g}", printed_coefficient(share / scale),
                      None if beta is None else beta * scale, None, quarks)
    return Theory(source, named, other=named and f"the action {named!r}", quarks=quarks)


def _quarks(info: Mapping[str, str], kind: str) -> tuple[str, ...] | None:
    """What tells of quarks; () for "Pure gauge", None if nothing is said."""
    told = {key: text for key, text in info.items() if QUARK.fullmatch(key)}
    flavours = [text for key, text in told.items() if "flavors" in key]
    alive = not flavours or any(parse_number(word) for text in flavours for word in text.split())
    if told and alive:
        return tuple(f"{key} = {text}" for key, text in told.items())
    if "fermion" in kind.lower():
        return (kind,)
    return () if "pure gauge" in kind.lower() or kind.lower().startswith("gauge (") else None
