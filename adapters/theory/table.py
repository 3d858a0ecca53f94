"""The theory of a configuration from all that its file says, whichever code wrote it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from l2hmc_bridge.adapters.format.checks import parse_number
from l2hmc_bridge.systems.theory import Theory, combined, of_carried

from . import chroma, hirep, labels, milc, nissa, tmlqcd

RECORDS = ("scidac-record-xml", "scidac-file-xml")
BOUNDARIES = tuple(f"BOUNDARY_{number}" for number in range(1, 5))


def stated(meta: Mapping[str, Any], name: str) -> Theory:
    """What the metadata of the file called `name` states; what our own files say stands alone."""
    own = of_carried(meta, "our own keys")
    if own is not None:
        return combined([own, Theory("the file", beta=meta.get("beta"))])
    named = [hirep.read(name, name)] if meta.get("format") == "hirep" else []
    whole = combined([*_parameters(meta), *named])
    hints = labels.read([
        ("label", meta.get("ensemble_label")), ("id", meta.get("ensemble_id")),
        ("lfn", meta.get("lfn")), ("name", name),
    ])
    if whole.c1 is None and whole.other is None and (hints.action or hints.other):
        whole = combined([whole, replace(hints, quarks=None)])
    if whole.quarks is None and hints.quarks is not None:
        whole = combined([whole, Theory(hints.source, quarks=hints.quarks)])
    if whole.beta is None and whole.other is None and meta.get("beta") is not None:
        whole = combined([whole, Theory("the file", beta=meta["beta"])])
    return whole


def _parameters(meta: Mapping[str, Any]) -> list[Theory]:
    """What every code's own parameters in the file state, those that state something."""
    info, header = meta.get("info") or {}, meta.get("header") or {}
    found = [tmlqcd.read(info, "xlf-info"), milc.read(info, "MILC's parameters")]
    if "InputPars" in header:
        found.append(nissa.read(header["InputPars"], "InputPars"))
    found += [chroma.read(header[kind], kind) for kind in RECORDS
              if kind in header and chroma.states(header[kind])]
    found.append(_boundaries(header))
    found.append(_quarks(info, header))
    return [theory for theory in found if theory]


def _boundaries(header: Mapping[str, Any]) -> Theory:
    """BOUNDARY_1..4 of a NERSC header: ANTIPERIODIC is a boundary of quarks, others of links."""
    told = {key: str(header[key]) for key in BOUNDARIES if key in header}
    odd = {key: text for key, text in told.items() if text.upper() not in ("", "PERIODIC")}
    quarks = tuple(f"{key} = {text}" for key, text in odd.items()
                   if text.upper() == "ANTIPERIODIC")
    other = [f"boundary {text} ({key})" for key, text in odd.items()
             if text.upper() != "ANTIPERIODIC"]
    return Theory("the header", other=next(iter(other), None), quarks=quarks or None)


def _quarks(info: Mapping[str, str], header: Mapping[str, Any]) -> Theory:
    """Masses and hopping parameters that any header may state (MILC version 4: mass)."""
    told = {"mass": header.get("mass"), **{key: info.get(key) for key in ("kappa", "csw")}}
    if "c2_rec" in info:
        told = {}
    quarks = tuple(f"{key} = {number:g}" for key, text in told.items()
                   if text is not None and (number := parse_number(str(text))))
    return Theory("the header", quarks=quarks or None)
