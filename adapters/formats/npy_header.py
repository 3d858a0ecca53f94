"""The header of numpy's .npy files with links: their shape, type and layout."""

import math
import os
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.array_layouts import lattice_of, layouts_of
from l2hmc_bridge.adapters.payload.layout import check_lattice
from l2hmc_bridge.errors import FormatError

if TYPE_CHECKING:
    import numpy as np

MAGIC = b"\x93NUMPY"
# What numpy's own parser of the header lets out.
ODD_HEADER = (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError, UserWarning,
              RecursionError, MemoryError)
PRECISION = {"c8": 32, "c16": 64}


def sniff(head: bytes, _size: int) -> bool:
    return head.startswith(MAGIC)


def header(path: Path, layout: str | None = None) -> dict[str, Any]:
    """Metadata without the links."""
    return parse(path, layout)[0]


def parse(
    path: Path, layout: str | None
) -> tuple[dict[str, Any], int, tuple[int, ...], "np.dtype"]:
    """(metadata, offset of the numbers, shape, their type)."""
    shape, fortran_order, dtype, offset = _array_header(path)
    if dtype.str[1:] not in PRECISION or fortran_order:
        raise FormatError(f"{path}: array: expected complex64 or complex128 in C order, found "
                          f"{dtype.str}{' in Fortran order' if fortran_order else ''}")
    name = layouts_of(shape, layout)[0]
    lattice = check_lattice(path, lattice_of(shape, name))
    expected, found = math.prod(shape) * dtype.itemsize, os.stat(path).st_size - offset
    if expected != found:
        raise FormatError(f"{path}: payload: expected {expected} bytes for shape {shape}, found "
                          f"{found}")
    meta = metadata.basic(
        path,
        format="npy",
        dialect=name,
        precision=PRECISION[dtype.str[1:]],
        lattice=lattice,
        header={"shape": list(shape), "dtype": dtype.str},
        checks=[check("payload_size", found, expected)],
    )
    return meta, offset, shape, dtype


def _array_header(path: Path) -> tuple[tuple[int, ...], bool, "np.dtype", int]:
    from numpy.lib import format as npy_format

    with open(path, "rb") as file:
        try:
            version = npy_format.read_magic(file)
            reader = {
                (1, 0): npy_format.read_array_header_1_0,
                (2, 0): npy_format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = reader(file)
        except ODD_HEADER as error:
            told = " ".join(str(error).split())[:200]
            raise FormatError(f"{path}: expected a .npy header of version 1.0 or 2.0: {told}"
                              ) from error
        return shape, fortran_order, dtype, file.tell()


FORMAT = Format(
    name="npy",
    title="npy (PyQUDA, lyncs)",
    suffixes=("npy",),
    sniff=sniff,
    read=later(f"{__package__}.npy", "read"),
    write=later(f"{__package__}.npy", "write"),
    header=header,
    read_options=("slices", "layout"),
    write_options=("precision",),
)
