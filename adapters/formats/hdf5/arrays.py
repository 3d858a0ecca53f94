"""HDF5 files of other codes: PyQUDA's LatticeColorMatrix group, and lyncs' plain arrays.

PyQUDA: group "LatticeColorMatrix" (attributes Annotation, Lattice "X Y Z T", Color), datasets X, Y,
Z, T, each [Lt,Lz,Ly,Lx,3,3] complex, with attributes sum29 and sum31: XOR over sites of
rotl32(XOR of the site's 32-bit words, rank mod 29) and mod 31 (pyquda_comm/hdf5.py: checksum).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2hmc_bridge.adapters.format.checks import check, checksum_check
from l2hmc_bridge.adapters.payload.array_layouts import DIRECTION_FIRST, layouts_of
from l2hmc_bridge.adapters.payload.arrays import array_links, gather, scatter
from l2hmc_bridge.adapters.payload.checksums import rotated_xor
from l2hmc_bridge.adapters.payload.move import check_slices, stored_links
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration

from . import safety
from .header import GROUP, KEYS, SUMS, find_array, header_lyncs, header_pyquda

if TYPE_CHECKING:
    import h5py


def read_pyquda(
    path: Path, file: "h5py.File", verify: bool, slices: tuple[int, int] | None
) -> Configuration:
    """Links and metadata of PyQUDA's group."""
    meta = header_pyquda(path, file)
    datasets = [file[GROUP][key] for key in KEYS]
    for data in datasets:
        safety.check_expansion(path, data, data.nbytes)
    wanted = check_slices(path, slices, meta["lattice"][3])
    links = gather(
        lambda t: np.stack([data[t] for data in datasets]), DIRECTION_FIRST, meta["lattice"], wanted
    )
    if verify and slices is None:
        _check_sums(path, datasets, meta)
    return examined(links, meta, verify)


def write_pyquda(
    path: Path, configuration: Configuration, force: bool, precision: int = 64
) -> None:
    """PyQUDA's group, with its checksums."""
    links = stored_links(configuration.links, precision // 8, 3)
    writable(path, links, precision)
    nt, nx, ny, nz = links.shape[2:6]
    with safety.created(path, force) as file:
        group = file.create_group(GROUP)
        told = {"Annotation": "l2hmc-bridge", "Lattice": f"{nx} {ny} {nz} {nt}", "Color": "3"}
        group.attrs.update(told)
        shape, dtype = (nt, nz, ny, nx, 3, 3), f"<c{precision // 4}"
        datasets = [group.create_dataset(key, shape, dtype) for key in KEYS]

        def place(time_slice: int, part: np.ndarray) -> None:
            for data, one in zip(datasets, part, strict=True):
                data[time_slice] = one

        scatter(links, DIRECTION_FIRST, place)
        for data in datasets:
            sum29, sum31 = _sums(data)
            data.attrs.update(sum29=f"{sum29:08x}", sum31=f"{sum31:08x}")


def _check_sums(path: Path, datasets: list["h5py.Dataset"], meta: dict[str, Any]) -> None:
    if meta["checksum"] is None:
        meta["warnings"].append("no checksum in the file")
    pairs = zip(*(meta["header"][name] for name in SUMS), strict=True)
    for key, data, texts in zip(KEYS, datasets, pairs, strict=True):
        stored = None
        if None not in texts:
            try:
                stored = tuple(int(text, 16) for text in texts)
            except ValueError as error:
                raise FormatError(f"{path}: {key}: sum29, sum31: expected hexadecimal numbers, "
                                  f"found {texts!r:.60}") from error
        elif meta["checksum"] is not None:
            meta["warnings"].append(f"no checksum of {key} in the file")
        meta["checks"].append(checksum_check(f"checksum_{key}", _sums(data), stored))


def _sums(data: "h5py.Dataset") -> tuple[int, int]:
    sum29, sum31, sites = 0, 0, int(np.prod(data.shape[1:4]))
    for time_slice in range(data.shape[0]):
        words = np.ascontiguousarray(data[time_slice]).view("<u4").reshape(sites, -1)
        numbers = np.bitwise_xor.reduce(words, 1)
        ranks = time_slice * sites + np.arange(sites)
        sum29 ^= rotated_xor(numbers, ranks % 29)
        sum31 ^= rotated_xor(numbers, ranks % 31)
    return sum29, sum31


def read_lyncs(
    path: Path, file: "h5py.File", verify: bool, slices: tuple[int, int] | None,
    key: str | None, layout: str | None,
) -> Configuration:
    """Links and metadata of a plain array of links, as lyncs_io writes them."""
    meta = header_lyncs(path, file, key, layout)
    data = find_array(path, file, key)
    safety.check_expansion(path, data, data.nbytes)
    links = array_links(path, data, layouts_of(data.shape, layout), slices, meta)
    if verify:
        meta["checks"].append(check("payload_size", data.nbytes, data.nbytes))
    return examined(links, meta, verify)
