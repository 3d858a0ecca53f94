"""JSON and TOML of unknown origin: bounded before they are parsed, and asked for entry by entry.

A text is refused, within a second, if it is too long, too deep, has too many items, a number that
is not finite or a whole number beyond 64 bits. What it holds is then read through `Entries`, which
knows of every entry what it has to be.
"""

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from l2hmc_bridge.errors import BridgeError, ConfigError
from l2hmc_bridge.storage import regular

DEPTH = 24  # lists and tables inside each other
ITEMS = 400_000
LARGEST = 2**63 - 1
TOML_BYTES = 1 << 17
TOML_DOTS = 3_000_000  # sum of the squares of the points in a line: tomllib's time for long keys
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
SHOWN = 60  # letters of a value in a message


def json_value(
    text: str | bytes, where: object, error: type[BridgeError], items: int = ITEMS
) -> Any:
    """The value of a JSON text. Raises `error`, naming `where`, beyond the bounds."""
    try:
        raw = text if isinstance(text, bytes) else text.encode()
        if _items(raw) > items and _items(STRING.sub(b"", raw)) > items:
            raise error(f"{where}: expected at most {items} items of JSON, found more")
        value = json.loads(raw.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as reason:
        raise error(f"{where}: expected JSON, found {_said(reason)}") from reason
    return bounded(value, where, error)


def json_table(text: str | bytes, where: object, error: type[BridgeError]) -> "Entries":
    """The same if the value has to be a table."""
    return Entries.of(json_value(text, where, error), where, error)


def toml_table(path: Path) -> dict[str, Any]:
    """The table of a TOML file. Raises ConfigError for what is none or beyond the bounds."""
    raw = regular.content(path, TOML_BYTES, ConfigError)
    if sum(line.count(b".") ** 2 for line in raw.split(b"\n")) > TOML_DOTS:
        raise ConfigError(f"{path}: expected shorter lines, found some with too many points")
    try:
        table = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as reason:
        raise ConfigError(f"{path}: expected TOML, found: {_said(reason)}") from reason
    return bounded(table, path, ConfigError)


def bounded(value: Any, where: object, error: type[BridgeError]) -> Any:
    """The value itself. Raises `error` if it is too deep or a number in it cannot be."""
    level = [value]
    for _ in range(DEPTH):
        for one in level:
            if isinstance(one, int) and abs(one) > LARGEST:
                raise error(f"{where}: expected whole numbers of 64 bits, found {shown(one)}")
            if isinstance(one, float) and not math.isfinite(one):
                raise error(f"{where}: expected finite numbers, found {one}")
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise error(f"{where}: expected at most {DEPTH} levels, found more")


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        return f"{'a table' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    text = repr(value[:SHOWN] if isinstance(value, str | bytes) else value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


@dataclass(frozen=True)
class Entries:
    """A table of unknown origin; each entry is asked for as what it has to be, or `error`."""

    values: Mapping[str, Any]
    where: object
    error: type[BridgeError]

    @classmethod
    def of(cls, value: Any, where: object, error: type[BridgeError]) -> "Entries":
        """Raises `error` unless the value is a table."""
        if not isinstance(value, Mapping):
            raise error(f"{where}: expected a table, found {shown(value)}")
        return cls(value, where, error)

    def refuse(self, name: str, expected: str, found: object) -> NoReturn:
        """Raise the error about one entry."""
        raise self.error(f"{self.where}: {name}: expected {expected}, found {shown(found)}")

    def any(self, name: str) -> Any:
        """The entry, whatever it is."""
        if name not in self.values:
            raise self.error(f"{self.where}: {name}: expected a value, found none")
        return self.values[name]

    def whole(self, name: str, low: int = 0, high: int = LARGEST) -> int:
        """A whole number from `low` to `high`."""
        value = self.any(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(name, f"a whole number from {low} to {high}", value)
        return value

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number from `low` to `high`."""
        value = self.any(name)
        if not finite(value) or not low <= value <= high:
            bounds = "" if (low, high) == (-math.inf, math.inf) else f" from {low:g} to {high:g}"
            self.refuse(name, f"a finite number{bounds}", value)
        return float(value)

    def text(self, name: str, choices: Sequence[str] = ()) -> str:
        """A text, one of `choices` if there are any."""
        value = self.any(name)
        if not isinstance(value, str) or (choices and value not in choices):
            self.refuse(name, f"one of {', '.join(choices)}" if choices else "a text", value)
        return value

    def truth(self, name: str) -> bool:
        """true or false."""
        value = self.any(name)
        if not isinstance(value, bool):
            self.refuse(name, "true or false", value)
        return value

    def listed(self, name: str, least: int = 0, most: int = ITEMS) -> list[Any]:
        """A list of `least` to `most` entries."""
        value = self.any(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.refuse(name, f"a list of {least} to {most}", value)
        return value

    def table(self, name: str) -> "Entries":
        """A table."""
        return Entries.of(self.any(name), f"{self.where}: {name}", self.error)


def finite(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _items(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _said(reason: BaseException) -> str:
    if isinstance(reason, RecursionError):
        return "too many levels"
    return " ".join(str(reason).split())[:200]
