"""numpy's .npy files as PyQUDA writes them, (4,Lt,Lz,Ly,Lx,3,3), or lyncs, (Lt,Lz,Ly,Lx,4,3,3)."""

import math
import os
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from l2hmc_bridge.atomic import replacing
from l2hmc_bridge.configuration import Configuration
from l2hmc_bridge.errors import FormatError

from . import metadata
from .arrays import LAYOUTS, array_links, lattice_of, layouts_of, scatter
from .format import Format
from .payload import check_lattice, stored_links
from .verify import check, examined, writable

MAGIC = b"\x93NUMPY"
# What numpy's own parser of the header lets out.
ODD_HEADER = (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError, UserWarning,
              RecursionError, MemoryError)
PRECISION = {"c8": 32, "c16": 64}


def sniff(head: bytes, _size: int) -> bool:
    return head.startswith(MAGIC)


def header(path: Path, layout: str | None = None) -> dict[str, Any]:
    """Metadata without the links."""
    return _open(path, layout)[0]


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    layout: str | None = None,
) -> Configuration:
    """Links and metadata; layout "pyquda" or "lyncs" where the shape does not tell."""
    meta, offset, shape, dtype = _open(path, layout)
    mapped = np.memmap(path, dtype, "r", offset, shape)
    links = array_links(path, mapped, layouts_of(shape, layout), slices, meta)
    meta["dialect"] = meta["layout"]
    return examined(links, meta, verify)


def write(
    path: Path, configuration: Configuration, force: bool = False, precision: int = 64
) -> None:
    """PyQUDA's array, version 1.0, little endian, C order."""
    links = stored_links(configuration.links, precision // 8, 3)
    writable(path, links, precision)
    nt, nx, ny, nz = links.shape[2:6]
    shape, dtype = (4, nt, nz, ny, nx, 3, 3), np.dtype(f"<c{precision // 4}")
    with replacing(path, force) as file:
        told = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(file, told)
        offset, slice_size = file.tell(), nx * ny * nz * 9 * dtype.itemsize

        def place(time_slice: int, part: np.ndarray) -> None:
            for direction in range(4):
                file.seek(offset + (direction * nt + time_slice) * slice_size)
                file.write(np.ascontiguousarray(part[direction], dtype).tobytes())

        scatter(links, LAYOUTS["pyquda"], place)


def _open(
    path: Path, layout: str | None
) -> tuple[dict[str, Any], int, tuple[int, ...], np.dtype]:
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


def _array_header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
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
    read=read,
    write=write,
    header=header,
    read_options=("slices", "layout"),
    write_options=("precision",),
)
