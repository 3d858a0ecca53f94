"""HDF5 files of other codes: PyQUDA's LatticeColorMatrix group, and lyncs' plain arrays.

PyQUDA: group "LatticeColorMatrix" (attributes Annotation, Lattice "X Y Z T", Color), datasets X, Y,
Z, T, each [Lt,Lz,Ly,Lx,3,3] complex, with attributes sum29 and sum31: XOR over sites of
rotl32(XOR of the site's 32-bit words, rank mod 29) and mod 31 (pyquda_comm/hdf5.py: checksum).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from l2hmc_bridge.configuration import Configuration
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.layout import FILE_DIRECTIONS

from . import hdf5_safety, hdf5_texts, metadata
from .arrays import (
    DIRECTION_FIRST,
    array_links,
    gather,
    lattice_of,
    layouts_of,
    scatter,
)
from .checksums import rotated_xor
from .payload import check_lattice, check_slices, stored_links
from .verify import check, checksum_check, examined, writable

if TYPE_CHECKING:
    import h5py

GROUP = "LatticeColorMatrix"
KEYS = tuple(name.upper() for name in FILE_DIRECTIONS)
SUMS = ("sum29", "sum31")


def is_pyquda(file: "h5py.File") -> bool:
    return GROUP in file


def header_pyquda(path: Path, file: "h5py.File") -> dict[str, Any]:
    """Metadata of PyQUDA's group, all shapes checked."""
    import h5py

    if not isinstance(file.get(GROUP, getlink=True), h5py.HardLink):
        raise FormatError(f"{path}: expected the group {GROUP} in the file itself")
    group = file[GROUP]
    datasets = [hdf5_safety.dataset(path, group, key) for key in KEYS]
    sums = [(data, name) for data in datasets for name in SUMS]
    told, annotation, *stored = hdf5_texts.attributes(
        path, [(group, "Lattice"), (group, "Annotation"), *sums])
    words = [metadata.integer(word) for word in (told or "").split()]
    if len(words) != 4 or None in words:
        raise FormatError(f"{path}: Lattice: expected four integers, found {told!r:.40}")
    nx, ny, nz, nt = lattice = check_lattice(path, words)
    for data in datasets:
        if data.shape != (nt, nz, ny, nx, 3, 3) or data.dtype.str not in ("<c16", "<c8"):
            raise FormatError(f"{path}: {data.name}: expected complex {(nt, nz, ny, nx, 3, 3)}, "
                              f"found {data.dtype.str} {data.shape}")
    return metadata.basic(
        path,
        format="hdf5",
        dialect="PyQUDA",
        precision=4 * datasets[0].dtype.itemsize,
        lattice=lattice,
        checksum=" ".join(filter(None, stored)) or None,
        header={"Annotation": annotation or "", "sum29": stored[::2], "sum31": stored[1::2]},
    )


def read_pyquda(
    path: Path, file: "h5py.File", verify: bool, slices: tuple[int, int] | None
) -> Configuration:
    """Links and metadata of PyQUDA's group."""
    meta = header_pyquda(path, file)
    datasets = [file[GROUP][key] for key in KEYS]
    for data in datasets:
        hdf5_safety.check_expansion(path, data, data.nbytes)
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
    with hdf5_safety.created(path, force) as file:
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


def find_array(path: Path, file: "h5py.File", key: str | None) -> "h5py.Dataset":
    """The dataset `key`, or the only one at the root that has the shape of links."""
    import h5py

    if key is not None:
        return hdf5_safety.dataset(path, file, key)
    hard = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    found = [name for name in hard if isinstance(file[name], h5py.Dataset)
             and len(file[name].shape) == 7]
    if len(found) != 1:
        raise FormatError(f"{path}: expected one dataset of seven axes, found {len(found)} among "
                          f"{', '.join(hard)[:200] or 'none'} (--key names it)")
    return hdf5_safety.dataset(path, file, found[0])


def header_lyncs(
    path: Path, file: "h5py.File", key: str | None, layout: str | None
) -> dict[str, Any]:
    """Metadata of a plain array of links."""
    data = find_array(path, file, key)
    if data.dtype.kind != "c" or data.dtype.itemsize not in (8, 16):
        raise FormatError(f"{path}: {data.name}: expected complex numbers, found {data.dtype}")
    name = layouts_of(data.shape, layout)[0]
    return metadata.basic(
        path,
        format="hdf5",
        dialect="plain array",
        precision=4 * data.dtype.itemsize,
        lattice=check_lattice(path, lattice_of(data.shape, name)),
        header={"dataset": data.name},
    )


def read_lyncs(
    path: Path, file: "h5py.File", verify: bool, slices: tuple[int, int] | None,
    key: str | None, layout: str | None,
) -> Configuration:
    """Links and metadata of a plain array of links, as lyncs_io writes them."""
    meta = header_lyncs(path, file, key, layout)
    data = find_array(path, file, key)
    hdf5_safety.check_expansion(path, data, data.nbytes)
    links = array_links(path, data, layouts_of(data.shape, layout), slices, meta)
    if verify:
        meta["checks"].append(check("payload_size", data.nbytes, data.nbytes))
    return examined(links, meta, verify)
