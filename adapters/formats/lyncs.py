"""Whatever lyncs_io reads (extra `lyncs`), through lyncs_io itself; writing npy and h5 through it.

Live arrays, before or after lyncs_io: `hosts.lyncs`. lyncs_io's openQCD
writer raises NotImplementedError (0.2.3); use the format `openqcd`.
"""

from pathlib import Path

import numpy as np

from l2hmc_bridge.adapters.formats.lyncs_header import library, load
from l2hmc_bridge.adapters.payload.array_layouts import LAYOUTS
from l2hmc_bridge.adapters.payload.arrays import array_links, scatter
from l2hmc_bridge.adapters.payload.move import stored_links
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.storage.atomic import temporary_path

WRITTEN = {"npy": "Numpy", "h5": "HDF5"}


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    trust: bool = False,
    layout: str | None = None,
) -> Configuration:
    """Links and metadata of what lyncs_io loads as an array of the shape of links."""
    meta, array, layouts = load(path, trust, layout)
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
