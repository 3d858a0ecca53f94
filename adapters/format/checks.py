"""The checks of a configuration: each a record with its number, its bound and its verdict.

A check is a dict: name, value, expected (None where the bound is on the value itself), tolerance,
status "pass", "warn" or "fail". The list is meta["checks"]; sentences are meta["warnings"].
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import VerificationError

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


def group_check(name: str, value: float, precision: int) -> dict[str, Any]:
    """A distance from SU(3): beyond GROUP_BOUND a failure, beyond GROUP_WARN a warning."""
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
