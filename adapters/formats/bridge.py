"""Bridge++ text configurations (FieldIO_Text; LatticeQCD.jl writes them, too).

A number a line in the natural order of ILDG files: t, z, y, x, direction, row, column, (re, im).
Bridge++ prints 15 digits; 17 are written here, so that the same links come back.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.adapters.payload.arrays import gather, scatter
from l2hmc_bridge.adapters.payload.move import check_slices
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.axes import FILE_AXES
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.storage.atomic import replacing

from .bridge_header import header, numbers_in


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    lattice: Sequence[int] | None = None,
) -> Configuration:
    """Links and metadata."""
    meta = header(path, lattice)
    nx, ny, nz, nt = meta["lattice"]
    first, last = check_slices(path, slices, nt)
    parts: list[NDArray[np.complex128]] = []
    with open(path, "rb") as file:
        for t in range(nt):
            numbers = _numbers(path, file, numbers_in((nx, ny, nz)))
            if first <= t < last:
                parts.append(numbers.view(np.complex128).reshape(nz, ny, nx, 4, 3, 3))
    links = gather(lambda t: parts[t - first], FILE_AXES, meta["lattice"], (first, last))
    return examined(links, meta, verify)


def write(path: Path, configuration: Configuration, force: bool = False) -> None:
    """Numbers with 17 digits."""
    links = configuration.links
    writable(path, links, 64)
    with replacing(path, force) as file:

        def place(_time_slice: int, part: NDArray[np.complex128]) -> None:
            numbers = np.ascontiguousarray(part).view(np.float64).ravel().tolist()
            file.write(("\n".join(map(repr, numbers)) + "\n").encode())

        scatter(links, FILE_AXES, place)


def _numbers(path: Path, file: BinaryIO, count: int) -> NDArray[np.float64]:
    """The next `count` numbers; FormatError if something else stands among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's way to say that it stopped
        found = np.fromfile(file, np.float64, count, " ")
    if found.size != count:
        raise FormatError(f"{path}: expected a number in each line, found other text among them")
    return found
