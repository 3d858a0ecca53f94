"""What another code or a table says of one configuration, in our names and normalisation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

RELATIVE = 1e-11  # of a number given in full precision
NOT_COMPARED = ("trajectory", "chain", "index", "beta", "flow_step", "flow_tolerance",
                "unitarity_defect", "determinant_defect")


class Value(NamedTuple):
    """A number in our normalisation and how far ours may be from it (absolute)."""

    number: float
    tolerance: float

    def scaled(self, factor: float) -> "Value":
        """The same in another unit."""
        return Value(self.number * factor, self.tolerance * abs(factor))


Extents = tuple[int, int, int, int]  # X,Y,Z,T


def four(texts: Sequence[str]) -> Extents:
    """Extents from their four texts; ValueError for more, fewer or none that are numbers."""
    x, y, z, t = map(int, texts)
    return x, y, z, t


@dataclass
class Reference:
    """One configuration as others measured it.

    values: names as in measured records. flow: {t: {name: Value}}. `traceless` is the field
    strength behind charge and energy density (None: not stated). `source` says who measured.
    """

    source: str
    path: str | None = None
    trajectory: int | None = None
    lattice: Extents | None = None
    values: dict[str, Value] = field(default_factory=dict)
    flow: dict[float, dict[str, Value]] = field(default_factory=dict)
    traceless: bool | None = None
    flow_step: float | None = None
    flow_tolerance: float | None = None
    flow_kernel: str | None = None

    @property
    def label(self) -> str:
        """Name for a table: the file, the trajectory, or the source."""
        if self.path is not None:
            return short_path(self.path)
        return f"trajectory {self.trajectory}" if self.trajectory is not None else self.source


class Log(NamedTuple):
    """What a log or table says: configurations, sentences about it, what in it is not compared."""

    references: list[Reference]
    remarks: list[str] = []
    ignored: list[str] = []  # names of numbers, as the log has them


def short_path(path: str) -> str:
    """The name of a file, with its folder if that names a chain: chain_1/cfg_20.ildg."""
    parts = path.split("/")
    chained = len(parts) > 1 and re.fullmatch(r"chain_\d+", parts[-2]) is not None
    return "/".join(parts[-2:] if chained else parts[-1:])


def numbers_of(record: Mapping) -> dict[str, float]:
    """Scalars of a measured record under the names a Reference uses (loops per part)."""
    numbers = {
        name: float(value) for name, value in record.items()
        if name not in NOT_COMPARED and isinstance(value, int | float)
    }
    for direction, parts in (record.get("polyakov_loops") or {}).items():
        numbers[f"polyakov_loop_{direction}_real"] = parts[0]
        numbers[f"polyakov_loop_{direction}_imag"] = parts[1]
    for plane, value in (record.get("plaquette_planes") or {}).items():
        numbers[f"plaquette_{plane}"] = value
    return numbers
