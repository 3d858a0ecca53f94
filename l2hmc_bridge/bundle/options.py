"""What a description of a kernel may say, whoever wrote it: kinds and bounds of every entry."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.storage.parsing import LARGEST, Entries, finite, shown

MOST_KICKS, MOST_REPEATS, MOST_NETWORKS = 4096, 1024, 1024
MOST_UNITS, MOST_EXTENT, MOST_LISTED, MOST_AXES = 1 << 16, 1 << 12, 64, 8
MOST_SWEEPS = 64  # of a field transformation


class Kind(NamedTuple):
    """What an option has to be, in words, and whether a value is."""

    expected: str
    right: Callable[[Any], bool]


def check_shape(description: Mapping[str, Any]) -> None:
    """ConfigError unless composition, repeats, displaced and mixing are of their kinds."""
    given = Entries.of(description, "architecture", ConfigError)
    given.text("composition")
    given.whole("repeats", 1, MOST_REPEATS)
    flags = given.listed("displaced", 2, MOST_KICKS)
    if not all(isinstance(flag, bool) for flag in flags):
        given.refuse("displaced", "true or false for every kick", flags)
    given.truth("mixing")
    for part in ("kick_network", "drift_network"):
        if given.any(part) is not None:
            given.table(part)


def check_network(part: str, given: Mapping[str, Any]) -> None:
    """ConfigError, by name, if an option of a network is not of its kind."""
    for name, kind in OPTIONS.items():
        if name in given and not kind.right(given[name]):
            raise ConfigError(f"{part}_network.{name}: expected {kind.expected}, found "
                              f"{shown(given[name])}")


def check_transformation(given: Mapping[str, Any], where: str = "transformation",
                         known: Sequence[str] = ("sweeps", "hidden", "bound", "activation")
                         ) -> None:
    """ConfigError, by name, if an entry of a field transformation is unknown or of no such kind."""
    entries = Entries.of(given, where, ConfigError)
    unknown = sorted(set(entries.values) - set(known))
    if unknown:
        raise ConfigError(f"{where}.{unknown[0][:40]}: unknown key, expected some of "
                          f"{list(known)}")
    for name, value in entries.values.items():
        if not TRANSFORMATION[name].right(value):
            entries.refuse(name, TRANSFORMATION[name].expected, value)


def whole(low: int, high: int = LARGEST) -> Callable[[Any], bool]:
    """Whether a value is a whole number from `low` to `high`."""
    return lambda value: type(value) is int and low <= value <= high


def _listed(right: Callable[[Any], bool], most: int = MOST_LISTED) -> Callable[[Any], bool]:
    return lambda value: (isinstance(value, list | tuple) and len(value) <= most
                          and all(map(right, value)))


def _pair(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (isinstance(value, list | tuple) and len(value) == 2
                          and all(map(right, value)))


def _word(value: Any) -> bool:
    return isinstance(value, str)


_NAMES = Kind("a list of names", _listed(_word))
_NUMBERS = _listed(whole(0, MOST_KICKS), MOST_KICKS)
TRANSFORMATION = {
    "sweeps": Kind(f"a number of sweeps from 1 to {MOST_SWEEPS}", whole(1, MOST_SWEEPS)),
    "hidden": Kind("a number of units, 0 for a constant", whole(0, MOST_UNITS)),
    "bound": Kind("a finite number", finite),
    "activation": Kind("a name", _word),
    "kind": Kind("a name", _word),
}
OPTIONS = {
    "hidden": Kind("a number of units, at least 1", whole(1, MOST_UNITS)),
    "layers": Kind("a list of numbers", lambda value: value is None or _NUMBERS(value)),
    "outputs": _NAMES,
    "loops": _NAMES,
    "kind": Kind("a name", _word),
    "activation": Kind("a name", _word),
    "shape": Kind("a list of extents", _listed(whole(1, MOST_EXTENT), MOST_AXES)),
    "units": Kind("a list of numbers of units", _listed(whole(1, MOST_UNITS))),
    "networks": Kind("a number of networks, at least 1", whole(1, MOST_NETWORKS)),
    "filters": Kind("a list of pairs (features, size)", _listed(_pair(whole(1, MOST_EXTENT)))),
    "halves": Kind("a list of pairs of numbers", _listed(_pair(finite), MOST_KICKS)),
}
