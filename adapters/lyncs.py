"""Whatever lyncs_io reads (extra `lyncs`), through lyncs_io itself; writing npy and h5 through it.

Live arrays, before or after lyncs_io: `to_links`, `from_links` (lyncs_arrays).

lyncs_io unpickles what it finds: LIME records of type lyncs-io-info, pickle, dill and archive
files. None of them is handed to it unless the caller says trust=True, which runs code from the
file. Its openQCD writer raises NotImplementedError (0.2.3); use the format `openqcd`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from l2hmc_bridge.atomic import temporary_path
from l2hmc_bridge.configuration import Configuration
from l2hmc_bridge.errors import BridgeError, FormatError

from . import lime, metadata
from .arrays import LAYOUTS, array_links, lattice_of, layouts_of, scatter
from .format import Format
from .lyncs_arrays import from_links as from_links
from .lyncs_arrays import to_links as to_links
from .payload import check_lattice, stored_links
from .verify import check, examined, writable

SAFE = {".npy": "Numpy", ".h5": "HDF5", ".hdf5": "HDF5", ".lime": "lime", ".ildg": "lime"}
WRITTEN = {"npy": "Numpy", "h5": "HDF5"}
PICKLE = "lyncs-io-info"


def library() -> ModuleType:
    """lyncs_io, or BridgeError with the way to install it."""
    try:
        import lyncs_io
    except (ImportError, AttributeError) as error:  # 0.2.3 trips over numpy >= 2.3
        raise BridgeError(f"expected lyncs_io, found none that imports ({error}): "
                          'pip install "l2hmc-bridge[lyncs]"') from error
    return lyncs_io


def header(path: Path, trust: bool = False, layout: str | None = None) -> dict[str, Any]:
    """Metadata; lyncs_io has to read the file for it."""
    return read(path, False, None, trust, layout).meta


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    trust: bool = False,
    layout: str | None = None,
) -> Configuration:
    """Links and metadata of what lyncs_io loads as an array of the shape of links."""
    kind = _kind(path, trust)
    array = _load(path, kind)
    layouts = layouts_of(array.shape, layout or ("lyncs" if kind == "lime" else None))
    meta = metadata.basic(
        path,
        format="lyncs",
        dialect=kind or "by suffix",
        precision=4 * array.dtype.itemsize,
        lattice=check_lattice(path, lattice_of(array.shape, layouts[0])),
        checks=[check("payload_size", array.nbytes, array.nbytes)],
        warnings=["read by lyncs_io, which verifies no checksum"],
    )
    links = array_links(path, array, layouts, slices, meta)
    return examined(links, meta, verify)


def write(
    path: Path,
    configuration: Configuration,
    force: bool = False,
    precision: int = 64,
    kind: str | None = None,
) -> None:
    """An array (Lt,Lz,Ly,Lx,4,3,3), as lyncs_io holds ILDG fields; kind: npy or h5 (suffix)."""
    kind = kind or path.suffix[1:].lower()
    if kind not in WRITTEN:
        raise FormatError(f"{path}: lyncs_io writes one of {', '.join(WRITTEN)}, found {kind!r}")
    links = stored_links(configuration.links, precision // 8, 3)
    writable(path, links, precision)
    nt, nx, ny, nz = links.shape[2:6]
    array = np.empty((nt, nz, ny, nx, 4, 3, 3), f"<c{precision // 4}")

    def place(time_slice: int, part: np.ndarray) -> None:
        array[time_slice] = part

    scatter(links, LAYOUTS["lyncs"], place)
    with temporary_path(path, force) as temporary:
        target = f"{temporary}/links" if kind == "h5" else str(temporary)
        library().save(array, target, format=WRITTEN[kind])


def _kind(path: Path, trust: bool) -> str | None:
    """The lyncs format to load with, after refusing what would be unpickled."""
    with open(path, "rb") as file:
        magic = file.read(8)
    if magic.startswith(lime.MAGIC.to_bytes(4, "big")):
        records, _ = lime.scan(path)
        if any(record.kind == PICKLE for record in records) and not trust:
            raise FormatError(f"{path}: holds a {PICKLE} record, a Python pickle that can run any "
                              "code: not opened (trust=True or --trust opens it)")
        return "lime"
    kind = SAFE.get(path.suffix.lower())
    if kind is None and not trust:
        raise FormatError(f"{path}: lyncs_io may unpickle {path.suffix or 'such'} files, which can "
                          "run any code: not opened (trust=True or --trust opens it)")
    return kind


def _load(path: Path, kind: str | None) -> np.ndarray:
    try:
        array = library().load(str(path), format=kind)
        if isinstance(array, Mapping) and len(array) == 1:  # a group of one dataset
            array = library().load(f"{path}/{next(iter(array))}", format=kind)
    except BridgeError:
        raise
    except Exception as error:  # a foreign reader: anything may come out of it
        told = " ".join(str(error).split())[:200]
        raise FormatError(f"{path}: lyncs_io could not read it: {type(error).__name__}: {told}"
                          ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "c":
        raise FormatError(f"{path}: expected lyncs_io to return a complex array, found "
                          f"{type(array).__name__}")
    if array.nbytes > os.stat(path).st_size:
        raise FormatError(f"{path}: expected at least {array.nbytes} bytes in the file")
    return array


FORMAT = Format(
    name="lyncs",
    title="what lyncs_io reads (extra lyncs)",
    suffixes=(),
    sniff=lambda _head, _size: False,
    read=read,
    write=write,
    header=header,
    read_options=("slices", "trust", "layout"),
    write_options=("precision", "kind"),
)
