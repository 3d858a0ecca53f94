"""The checks of a configuration: each a record with its number, its bound and its verdict.

A check is a dict: name, value, expected (None where the bound is on the value itself), tolerance,
status "pass", "warn" or "fail". The list is meta["checks"]; sentences are meta["warnings"].
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from l2hmc_bridge.configuration import Configuration
from l2hmc_bridge.errors import VerificationError

from .measure import Measured, measure
from .metadata import printable

GROUP_BOUND = 2e-5  # max|U U^dagger - 1| and max|det U - 1| beyond this are never SU(3)
GROUP_WARN = {32: 5e-6, 64: 1e-9}  # beyond this the links are worse than the file's precision


def check(
    name: str, value: Any, expected: Any = None, tolerance: float = 0.0, status: str | None = None
) -> dict[str, Any]:
    """A record; without `status` it passes if |value - expected| <= tolerance (NaN fails)."""
    if status is None:
        distance = abs(value - (0 if expected is None else expected))
        status = "pass" if distance <= tolerance else "fail"
    return {
        "name": name, "value": value, "expected": expected, "tolerance": tolerance,
        "status": status,
    }


def checksum_check(
    name: str, found: tuple[int, ...], stored: tuple[int, ...] | None
) -> dict[str, Any]:
    """Exact comparison of checksums, written as hexadecimal; an absent one is a warning."""
    value = " ".join(f"{word:08x}" for word in found)
    if stored is None:
        return check(name, value, None, 0, "warn")
    expected = " ".join(f"{word:08x}" for word in stored)
    return check(name, value, expected, 0, "pass" if value == expected else "fail")


def printed_unit(text: str) -> float:
    """One unit in the last printed digit: 1e-10 for "0.5962355196", 1e-7 for "5.962355e-01".

    A number printed without digits after the point ("1" for a unit field) is held to 1e-5.
    """
    match = re.fullmatch(r"\s*[-+]?\d*(?:\.(\d*))?(?:[eE]([-+]?\d{1,4}))?\s*", text)
    if match is None or not match.group(1):
        return 1e-5
    return 10.0 ** (int(match.group(2) or 0) - len(match.group(1)))


def parse_number(text: str | None) -> float | None:
    """A finite float, or None."""
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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
    for name in ("unitarity", "determinant"):
        checks.append(_group_check(name, getattr(measured, name), precision))
    if precision == 64 and any(c["status"] == "warn" for c in checks):
        meta["warnings"].append(
            f"single-precision links in a 64-bit file: max|U U^dagger - 1| = "
            f"{measured.unitarity:.1e}, max|det U - 1| = {measured.determinant:.1e}"
        )
    return checks


def examined(
    links: Tensor, meta: dict[str, Any], verify: bool, printed: Sequence[tuple[str, str]] = ()
) -> Configuration:
    """How every reader ends: the configuration, after `link_checks` if it is to be verified."""
    if verify:
        meta["checks"] += link_checks(links, meta["precision"], printed, meta)
    return Configuration(links, meta)


def writable(path: Path, links: Tensor, precision: int) -> Measured:
    """What is measured on links that are SU(3); VerificationError for others: no reader takes them.

    A file is never written that this package would refuse to read.
    """
    measured = measure(links)
    checks = [
        _group_check(name, getattr(measured, name), precision)
        for name in ("unitarity", "determinant")
    ]
    judge(path, checks)
    return measured


def _group_check(name: str, value: float, precision: int) -> dict[str, Any]:
    if not value <= GROUP_BOUND:
        return check(name, value, None, GROUP_BOUND, "fail")
    status = "pass" if value <= GROUP_WARN[precision] else "warn"
    return check(name, value, None, GROUP_BOUND, status)


def status_of(meta: Mapping[str, Any]) -> str:
    """The worst verdict: "fail", "warn" (a sentence counts as one) or "pass"."""
    verdicts = {item["status"] for item in meta["checks"]}
    if "fail" in verdicts:
        return "fail"
    return "warn" if "warn" in verdicts or meta["warnings"] else "pass"


def judge(path: Path, checks: Sequence[Mapping[str, Any]]) -> None:
    """Raise VerificationError with all failed checks in one line."""
    failed = [item for item in checks if item["status"] == "fail"]
    if failed:
        raise VerificationError(f"{path}: {'; '.join(map(describe, failed))}")


def describe(item: Mapping[str, Any]) -> str:
    """"plaquette: expected 0.5962355196 within 1e-10, found 0.4090000000"."""
    value = _shown(item["value"])
    if item["expected"] is None:
        return f"{item['name']}: expected at most {item['tolerance']:g}, found {value}"
    expected = _shown(item["expected"])
    within = f" within {item['tolerance']:.1g}" if item["tolerance"] else ""
    return f"{item['name']}: expected {expected}{within}, found {value}"


def _shown(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else printable(str(value))
