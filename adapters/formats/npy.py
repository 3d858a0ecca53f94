"""numpy's .npy files as PyQUDA writes them, (4,Lt,Lz,Ly,Lx,3,3), or lyncs, (Lt,Lz,Ly,Lx,4,3,3)."""

from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from l2hmc_bridge.adapters.payload.array_layouts import LAYOUTS, layouts_of
from l2hmc_bridge.adapters.payload.arrays import array_links, scatter
from l2hmc_bridge.adapters.payload.move import stored_links
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.storage.atomic import replacing

from .npy_header import parse


def read(
    path: Path,
    verify: bool = True,
    slices: tuple[int, int] | None = None,
    layout: str | None = None,
) -> Configuration:
    """Links and metadata; layout "pyquda" or "lyncs" if the shape does not say."""
    meta, offset, shape, dtype = parse(path, layout)
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
