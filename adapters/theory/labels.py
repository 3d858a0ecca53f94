"""What free text and names tell of a theory: ensemble labels, logical file names, MILC-like names.

These are hints: they count only if no parameters of a run are there. Of a file's own name only
numbers as in l3264f211b600m0102 count: anybody may call a file anything.
"""

import re
from collections.abc import Iterable

from l2hmc_bridge.systems.coefficients import RECTANGLE_COEFFICIENTS
from l2hmc_bridge.systems.theory import Theory

WORD = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
QUARKS = re.compile(WORD.format(
    r"n_?f\s*[=:]?\s*[1-9][0-9+]*|[1-4]\+1(?:\+1){0,2}f?|dwf|domain[ _-]?wall|m(?:oe|o)bius|"
    r"clover|asqtad|hisq|twisted[ _-]?mass|tmqcd|dynamical|unquenched|staggered|"
    r"overlap"), re.IGNORECASE)
QUENCHED = re.compile(WORD.format(r"quenched|pure[ _-]?gauge|n_?f\s*[=:]?\s*0"), re.IGNORECASE)
# MILC, HotQCD: l3264f211b600m0102..., f with the flavours, 0 for none.
NUMBERED = re.compile(r"(?<![a-z])f([0-9]{1,3})b[0-9]{2,}", re.IGNORECASE)
DEFAULTS = (("label", "DWF"),)  # which Grid and GPT write for whatever field it is
ACTIONS = {"iwasaki": "iwasaki", "dbw2": "dbw2"}
OTHER = re.compile(WORD.format(r"anisotropic|aniso"), re.IGNORECASE)


def read(texts: Iterable[tuple[str, str | None]]) -> Theory:
    """What (where it stands, text) pairs hint at; Symanzik alone does not say which."""
    c1, named, other, hints, pure, source = None, None, None, [], False, []
    for where, text in texts:
        if not text or (where, text) in DEFAULTS:
            continue
        flavours = NUMBERED.findall(text)
        words = "" if where == "name" else text
        told = [found[0] for found in QUARKS.finditer(words)]
        told += [f"f{found}" for found in flavours if found.strip("0")]
        pure |= bool(QUENCHED.search(words)) or any(not found.strip("0") for found in flavours)
        hints += [f"{where} {text[:60]!r}" for _ in told[:1]]
        name = next((name for word, name in ACTIONS.items() if word in words.lower()), None)
        if name is not None and c1 is None:
            c1, named = RECTANGLE_COEFFICIENTS[name], f"{where} {text[:60]!r}"
        if found := OTHER.search(words):
            other = other or f"{where} {text[:60]!r}: {found[0]}"
        if told or name or found:
            source.append(where)
    quarks = None if not hints and not pure else () if pure else tuple(hints)
    return Theory(", ".join(dict.fromkeys(source)), named, c1, None, other, quarks, hinted=True)
