"""The checks of a configuration: each a record with its number, its bound and its verdict.

A check is a dict: name, value, expected (None if the bound is on the value itself), tolerance,
status "pass", "warn", "fail" or "accepted" (failed, and the caller goes on); `why` if the fault has
a name. The list is meta["checks"]; sentences are meta["warnings"], those about accepted checks also
meta["recorded"].
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import VerificationError

from .metadata import printable

DRIFT = 1e-2  # up to here a distance from SU(3) may be accumulated rounding, and can be mended
GROUP_BOUND = 2e-5  # max|U U^dagger - 1| and max|det U - 1| beyond this are never SU(3)
# What a caller may accept: the word for it, and how the names of such checks begin.
ACCEPTABLE = {"checksum": ("checksum", "crc32", "posix_cksum"),
              "plaquette": ("plaquette",), "link_trace": ("link_trace",)}
WAKE = ("plaquette", "link_trace", "unitarity", "determinant")  # what a byte order explains
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
    return "warn" if verdicts & {"warn", "accepted"} or meta["warnings"] else "pass"


def kind_of(name: str) -> str | None:
    """The word by which a check can be accepted, None if it cannot."""
    return next((word for word, starts in ACCEPTABLE.items() if name.startswith(starts)), None)


def accepted(meta: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """The metadata with failed checks of these kinds marked, said, and recorded as `accepted`."""
    checks, told, warnings = [], [], []
    for item in meta["checks"]:
        word = kind_of(item["name"])
        if item["status"] == "fail" and word in words:
            told.append(describe(item))
            warnings.append(f"{told[-1]}: accepted (--accept {word})")
            item = {**item, "status": "accepted"}
        checks.append(item)
    before = [meta["accepted"]] if meta.get("accepted") else []
    record = {"accepted": "; ".join(before + told), "recorded": warnings} if told else {}
    return {**meta, "checks": checks, "warnings": [*meta["warnings"], *warnings], **record}


def faults(checks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The failed checks without those that another failed one explains."""
    failed = [item for item in checks if item["status"] == "fail"]
    swapped = any(item["name"] == "byte order" for item in failed)
    return [item for item in failed if not (swapped and item["name"].startswith(WAKE))]


def sentences(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong, a sentence for each fault; links whose fault has a name are named once."""
    return list(dict.fromkeys(map(describe, faults(checks))))


def judge(path: Path, checks: Sequence[Mapping[str, Any]]) -> None:
    """Raise VerificationError with all failed checks in one line, and the way out if one is."""
    found = faults(checks)
    if not found:
        return
    words = sorted({kind_of(item["name"]) or "" for item in found})
    hint = ""
    if "" not in words:
        hint = f" ({' '.join(f'--accept {word}' for word in words)} goes on all the same)"
    elif drift(found) is not None:
        hint = " (drift alone: `convert --reunitarize` mends it)"
    raise VerificationError(f"{path}: {'; '.join(sentences(checks))}{hint}")


def drift(found: Sequence[Mapping[str, Any]]) -> float | None:
    """The distance from SU(3) if that is the only one of `faults` and at most DRIFT, else None."""
    if not found or not {item["name"] for item in found} <= {"unitarity", "determinant"}:
        return None
    if not all(item["value"] <= DRIFT and "why" not in item for item in found):
        return None
    return max(item["value"] for item in found)


def describe(item: Mapping[str, Any]) -> str:
    """"plaquette: expected 0.5962355196 within 1e-10, found 0.4090000000"."""
    if item.get("why"):
        return f"links: expected periodic links in SU(3), found {item['why']}"
    value = _shown(item["value"])
    if item["expected"] is None:
        return f"{item['name']}: expected at most {item['tolerance']:g}, found {value}"
    expected = _shown(item["expected"])
    within = f" within {item['tolerance']:.1g}" if item["tolerance"] else ""
    return f"{item['name']}: expected {expected}{within}, found {value}"


def _shown(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else printable(str(value))
