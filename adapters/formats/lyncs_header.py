"""What lyncs_io (extra `lyncs`) loads as an array of links, and what may be handed to it at all.

lyncs_io unpickles what it finds: LIME records of type lyncs-io-info, pickle, dill and archive
files. None of them is handed to it unless the caller says trust=True, which runs code from the
file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.formats.lime import container
from l2hmc_bridge.adapters.payload.array_layouts import lattice_of, layouts_of
from l2hmc_bridge.adapters.payload.layout import check_lattice
from l2hmc_bridge.errors import BridgeError, FormatError

if TYPE_CHECKING:
    import numpy as np

SAFE = {".npy": "Numpy", ".h5": "HDF5", ".hdf5": "HDF5", ".lime": "lime", ".ildg": "lime"}
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
    meta, array, layouts = load(path, trust, layout)
    if len(layouts) > 1:  # the links decide
        return later(f"{__package__}.lyncs", "read")(path, False, None, trust, layout).meta
    meta["layout"], meta["lattice"] = layouts[0], lattice_of(array.shape, layouts[0])
    return meta


def load(
    path: Path, trust: bool, layout: str | None
) -> tuple[dict[str, Any], "np.ndarray", list[str]]:
    """(metadata, the array as lyncs_io loads it, the layouts that it may have)."""
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
    return meta, array, layouts


def _kind(path: Path, trust: bool) -> str | None:
    """The lyncs format to load with, after refusing what would be unpickled."""
    with open(path, "rb") as file:
        magic = file.read(8)
    if magic.startswith(container.MAGIC.to_bytes(4, "big")):
        records, _ = container.scan(path)
        if any(record.kind == PICKLE for record in records) and not trust:
            raise FormatError(f"{path}: holds a {PICKLE} record, a Python pickle that can run any "
                              "code: not opened (trust=True or --trust opens it)")
        return "lime"
    kind = SAFE.get(path.suffix.lower())
    if kind is None and not trust:
        raise FormatError(f"{path}: lyncs_io may unpickle {path.suffix or 'such'} files, which can "
                          "run any code: not opened (trust=True or --trust opens it)")
    return kind


def _load(path: Path, kind: str | None) -> "np.ndarray":
    import numpy as np

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
    read=later(f"{__package__}.lyncs", "read"),
    write=later(f"{__package__}.lyncs", "write"),
    header=header,
    read_options=("slices", "trust", "layout"),
    write_options=("precision", "kind"),
)
