"""What is measured on links to verify a file: plaquette, link trace, distance from SU(3)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.format.checks import (
    check,
    group_check,
    judge,
    parse_number,
    printed_unit,
)
from l2hmc_bridge.fields import loops, part as parts
from l2hmc_bridge.fields.configuration import Configuration

from .layout import Payload
from .move import other_byte_order
from .phases import oddity


class Measured(NamedTuple):
    """Plaquettes and trace are 1 on the unit field; the defects are maxima over links.

    plaquette = (1/18 V) sum_{x, mu<nu} Re tr P, spatial and temporal over three planes each.
    unitarity = max |U U^dagger - 1|, determinant = max |det U - 1|; NaN if a link has one.
    """

    plaquette: float
    plaquette_spatial: float
    plaquette_temporal: float
    link_trace: float
    unitarity: float
    determinant: float


def measure(links: Tensor) -> Measured:
    """All of `Measured` for links [1,4,Nt,Nx,Ny,Nz,3,3]; sums are exact, however they are cut."""
    links = links.detach()
    with parts.exactly(links):
        planes = fast.plaquettes(links)[0].tolist()
        trace = float(loops.link_trace(links)[0])
        unitarity, determinant = (parts.largest(torch.tensor(defect, dtype=torch.float64), links)
                                  for defect in fast.group_defects(links))
    temporal, spatial = sum(planes[:3]) / 3, sum(planes[3:]) / 3
    return Measured((temporal + spatial) / 2, spatial, temporal, trace, unitarity, determinant)


def link_checks(
    links: Tensor, precision: int, printed: Sequence[tuple[str, str]], meta: dict[str, Any]
) -> list[dict[str, Any]]:
    """Plaquette and link trace against what the file printed, unitarity and determinant.

    printed: ("plaquette" or "link_trace", text as it stands in the file). A printed value is held
    to one unit of its last digit, plus four times the unitarity defect (a two-row or
    single-precision file cannot know it better) and a rounding floor.
    """
    measured = measure(links)
    meta.update(measured._asdict())
    rounding = 4 * measured.unitarity + (1e-12 if precision == 64 else 1e-6)
    checks = []
    for name, text in dict.fromkeys(printed):
        expected = parse_number(text)
        if expected is None:
            checks.append(check(name, getattr(measured, name), text[:40], 0, "fail"))
        else:
            tolerance = printed_unit(text) + rounding
            checks.append(check(name, getattr(measured, name), expected, tolerance))
    odd = oddity(links, measured.unitarity, measured.determinant)
    checks.append(group_check("unitarity", measured.unitarity, precision))
    checks.append(group_check("determinant", measured.determinant, precision))
    if odd is not None:
        wrong = [item for item in checks[-2:] if item["status"] == "fail"]
        for item in wrong:
            item["why"] = odd.sentence
        if not wrong:
            meta["warnings"].append(f"the links have {odd.sentence}")
        meta["boundary"] = odd.sentence if odd.boundary else None
    if precision == 64 and any(c["status"] == "warn" for c in checks):
        meta["warnings"].append(
            f"single-precision links in a 64-bit file: max|U U^dagger - 1| = "
            f"{measured.unitarity:.1e}, max|det U - 1| = {measured.determinant:.1e}"
        )
    return checks


def examined(
    links: Tensor, meta: dict[str, Any], verify: bool, printed: Sequence[tuple[str, str]] = (),
    source: tuple[Path, Payload] | None = None,
) -> Configuration:
    """How every reader ends: the configuration, after `link_checks` if it is to be verified.

    source: the file and where its links lie; links that are none are looked at in the other order
    of bytes.
    """
    if verify:
        checks = link_checks(links, meta["precision"], printed, meta)
        wrong = any(item["name"] == "unitarity" and item["status"] == "fail" for item in checks)
        if wrong and source is not None and other_byte_order(*source):
            orders = ("big endian", "little endian")
            found, stated = orders if not source[1].big else orders[::-1]
            checks.append(check("byte order", f"{found} numbers", f"{stated} ones, as the header "
                                "or format has it", 0, "fail"))
        meta["checks"] += checks
    return Configuration(links, meta)


def writable(path: Path, links: Tensor, precision: int) -> Measured:
    """What is measured on links that are SU(3); VerificationError for others: no reader takes them.

    A file is never written that this package would refuse to read.
    """
    measured = measure(links)
    checks = [
        group_check(name, getattr(measured, name), precision)
        for name in ("unitarity", "determinant")
    ]
    judge(path, checks)
    return measured
