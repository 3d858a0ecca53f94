"""Metadata that every format shares: what is carried, and how beta and trajectory are found."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_letters
from typing import Any

# Keys of Configuration.meta that a writer carries as far as its format can hold them.
CARRIED = ("beta", "trajectory", "lfn", "ensemble_id", "ensemble_label", "reunitarized",
           "accepted", "gauge_action", "quarks")
OWN = ("reunitarized", "accepted", "gauge_action", "quarks")  # which only our own files state
KEY = re.compile(r"[A-Za-z][\w.^\-]*(?:\[\d{1,4}\])?(?: nr)?")
LONGEST = 4096  # of a parameter line; also keeps every pattern below quick
# What describes one configuration rather than its ensemble does not survive a conversion.
PERISHABLE = re.compile(
    r"plaq|linktr|link_trace|checksum|time|date|magic|trajectory|^n[xyzt]$", re.I
)
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$")
IMPROVED = re.compile(r"iwasaki|symanzik|luscher|lw_|dbw2|rg_|rectang|1x2|tree", re.I)
SUFFIXES = re.compile(
    r"\.(ildg|lime|scidac|nersc|milc|openqcd|cern|hirep|bridge|npy|npz|h5|hdf5|cfg|dat|txt|bin|lat)$",
    re.I,
)
EXTENTS = "@"  # in the place of extents
COUNTED = {"cfg", "conf", "config", "configuration", "traj", "trajectory"}


def parameters(text: str) -> dict[str, str]:
    """`key = value` lines of free text; the first of a repeated key counts.

    A line may have several, with commas between; those of our own keys have one, commas and all.
    """
    found: dict[str, str] = {}
    for line in text.splitlines()[:10000]:
        if len(line) > LONGEST:
            continue
        whole = line.partition("=")[0].strip().lower() in OWN
        for part in [line] if whole else re.split(r", (?=\w+ = )", line):
            key, separator, value = part.partition("=")
            if separator and KEY.fullmatch(key.strip()):
                found.setdefault(key.strip(), value.strip(" \t,").strip('"'))
    return found


def beta_of(info: Mapping[str, str], tags: Mapping[str, list[str]] | None = None) -> float | None:
    """The one beta that the parameters and XML tags state; None if there is none or several.

    MILC's gauge.beta11 counts for the one-plaquette action only (for its improved actions it is
    10/g^2 in another normalisation), and a beta beside the name of an improved action does not.
    """
    tags = tags or {}
    named = [info.get("gauge.description", ""), *tags.get("Name", []), *tags.get("name", [])]
    if any(IMPROVED.search(text) for text in named):
        return None
    stated = [info[key] for key in ("beta", "BETA", "Beta", "gauge.beta11") if key in info]
    stated += [text for key in ("beta", "Beta") for text in tags.get(key, [])]
    values = {float(text) for text in stated if len(text) < 40 and NUMBER.match(text)}
    values = {value for value in values if math.isfinite(value)}
    return values.pop() if len(values) == 1 else None


def trajectory_of(*names: str | None, lattice: Sequence[int] | None = None) -> int | None:
    """The number at the end of a file name or LFN: 120 for ckpoint_lat.120 and cfg_120.ildg.

    Digits that belong to a coupling (_b6.0), an extent (l4444) or a row of numbers (4_4_8) are not,
    nor are the extents of `lattice` (X,Y,Z,T), if it is known: 4448, 4x4x4x8, 16_32.
    """
    for name in names:
        if not name:
            continue
        stem = name[-256:].replace("\\", "/").rstrip("/").rpartition("/")[2]
        stem = SUFFIXES.sub("", SUFFIXES.sub("", stem))
        if lattice is not None:
            stem = _without_extents(stem, lattice)
        digits = re.search(r"[0-9]{1,12}$", stem)
        if digits and _counts(stem[: digits.start()]):
            return int(digits.group())
    return None


def are_extents(digits: str, lattice: Sequence[int]) -> bool:
    """Whether the digits are those of the lattice: 4448 or 04040408 of 4,4,4,8."""
    return _without_extents(digits, lattice) != digits


def _without_extents(stem: str, lattice: Sequence[int]) -> str:
    """The name, a sign in the place of the lattice's extents, however they are written.

    If they stand at its end, what comes before may be the number: conf_00000100_4448.
    """
    x, y, z, t = lattice
    spelled = []
    for row in ((x, y, z, t), (t, x, y, z)):
        spelled += ["[xX_.-]".join(map(str, row)), "".join(map(str, row)),
                    "".join(f"{extent:02d}" for extent in row)]
    if x == y == z:
        spelled.append(f"{x}[xXc_-]{t}")
    found = re.sub(rf"(?<![0-9])(?:{'|'.join(spelled)})(?![0-9])", EXTENTS, stem)
    return re.sub(rf"([0-9]{{3}})[_.-]{EXTENTS}$", r"\1", found)


def _counts(before: str) -> bool:
    """Whether digits that follow `before` at the end of a name number a configuration."""
    if not before:
        return True
    rest, separator = before[:-1], before[-1]
    if separator in "_-":
        return not re.split(r"[_-]", rest)[-1].isdigit()
    if separator == ".":
        return not rest[-1:].isdigit() or re.search(r"\d\.\d+$", rest) is not None
    word = before[len(before.rstrip(ascii_letters)):].lower()
    return word in COUNTED or re.search(r"(?:r\d+|\.\d{6})n$", before) is not None


def integer(text: Any) -> int | None:
    """A plain decimal integer of at most 18 digits, or None."""
    text = str(text).strip()
    return int(text) if re.fullmatch(r"[-+]?[0-9]{1,18}", text) else None


def own(info: Mapping[str, str]) -> dict[str, str]:
    """What our own writers put among a file's parameters, under the names of OWN."""
    found = {key: info.get(key, info.get(key.upper())) for key in OWN}
    return {key: value for key, value in found.items() if value}


def others(info: Mapping[str, str]) -> dict[str, str]:
    """The parameters without those of `own`."""
    return {key: value for key, value in info.items() if key.lower() not in OWN}


def lasting(info: Mapping[str, str]) -> dict[str, str]:
    """The parameters that still hold for another configuration of the same ensemble."""
    return {
        key: value for key, value in info.items()
        if not PERISHABLE.search(key) and key.lower() not in CARRIED
    }


def fixed(value: float, digits: int = 13) -> str:
    """A decimal number with a point, no exponent, and at least `digits` significant digits."""
    decimals = digits
    if value and math.isfinite(value):
        decimals = min(30, max(digits, digits - 1 - math.floor(math.log10(abs(value)))))
    return f"{value:.{decimals}f}"


def printable(text: str) -> str:
    """One line without control characters, which a file may hold and a terminal would obey."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def basic(path: Path, **known: Any) -> dict[str, Any]:
    """The keys that every configuration's metadata has, for a format that knows little else."""
    return {
        "beta": None, "trajectory": trajectory_of(path.name, lattice=known.get("lattice")),
        "lfn": None, "ensemble_id": None,
        "ensemble_label": None, "checksum": None, "info": {}, "header": {}, "checks": [],
        "warnings": [], **known,
    }
