"""The names of the files that a conversion writes, all of them known before the first is written.

A pattern has the fields {trajectory}, {stem}, {index} and {chain}, numbers with zeros in front if
asked for: {trajectory:05}. No file is written that is an input of the same call, or that lies
outside the folder which the pattern names, whatever --force says.
"""

import os
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.storage.atomic import refuse_existing

FIELDS = ("trajectory", "stem", "index", "chain")
ZEROS = re.compile(r"0(1[0-2]|[1-9])d?")
OF_PART = re.compile(r"[^/\0]{1,255}")


def fields_of(pattern: str) -> set[str]:
    """The fields in braces. Raises BridgeError for others, attributes and widths without zeros."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise BridgeError(f"OUT: expected fields in braces, found {pattern!r}: {error}") from error
    for _, name, form, conversion in parts:
        if name is None:
            continue
        padded = not form or name != "stem" and ZEROS.fullmatch(form)
        if name not in FIELDS or conversion or not padded:
            raise BridgeError(f"OUT: expected only {{{'}, {'.join(FIELDS)}}} in braces, numbers "
                              f"with zeros as {{index:05}}, found {pattern!r}")
    return {name for _, name, _, _ in parts if name is not None}


def targets(pattern: str, values: Sequence[Mapping[str, Any]]) -> list[Path]:
    """A path for each input, by the values of its fields; different ones, in the named folder.

    Raises BridgeError.
    """
    for given in values:
        for name, value in given.items():
            if value in ("", ".", "..") or not OF_PART.fullmatch(str(value)):
                raise BridgeError(f"OUT: {{{name}}}: expected part of a file's name, found "
                                  f"{value!r} (use {{index}})")
    paths = [Path(pattern.format_map(given)) for given in values]
    inside = Path(pattern.split("{")[0] + "x").parent
    for path in paths:
        if not path.parent.resolve().is_relative_to(inside.resolve()):
            raise BridgeError(f"{path}: expected a file in {inside}, found one in "
                              f"{path.parent.resolve()}")
    twice = [path for path, count in Counter(map(_place, paths)).items() if count > 1]
    if twice:
        raise BridgeError(f"{min(twice)}: expected one configuration for each name, found several "
                          "(use {index}, or {chain})")
    return paths


def require_free(
    paths: Sequence[Path], inputs: Sequence[Path], force: bool, made: bool = False
) -> None:
    """Raise BridgeError unless all `paths` may be written; paths[n] is what inputs[n] becomes.

    One path for several inputs is what all of them become. made: missing folders will be made.
    """
    read: dict[str, set[int]] = {}
    for number, source in enumerate(inputs):
        read.setdefault(_place(source), set()).add(number)
    for number, path in enumerate(paths):
        others = read.get(_place(path), set()) - ({number} if len(paths) == len(inputs) else set())
        if others:
            raise BridgeError(f"{path}: expected a name that is no input of the same call, found "
                              f"{inputs[min(others)]}, which is read as well")
        if path.parent.is_dir() or not made:
            refuse_existing(path, force)


def _place(path: Path) -> str:
    """Where a file lies, links and dots resolved; case kept."""
    return os.path.realpath(path)
