"""What HDF5 files say of their links: our ensembles, PyQUDA's group, lyncs' arrays."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.array_layouts import lattice_of, layouts_of
from l2hmc_bridge.adapters.payload.layout import check_lattice
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.axes import FILE_DIRECTIONS

from . import ensemble_header, safety, texts
from .safety import opened

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
GROUP = "LatticeColorMatrix"
KEYS = tuple(name.upper() for name in FILE_DIRECTIONS)
SUMS = ("sum29", "sum31")


def sniff(head: bytes, _size: int) -> bool:
    return head.startswith(MAGIC)


def chains(path: Path) -> list[int]:
    """The chain of each configuration in the file."""
    with opened(path) as file:
        return ensemble_header.chains(path, file) if ensemble_header.is_ours(file) else [0]


def header(
    path: Path, index: int | None = None, key: str | None = None, layout: str | None = None
) -> dict[str, Any]:
    """Metadata without the links."""
    with opened(path) as file:
        if ensemble_header.is_ours(file):
            return ensemble_header.header(path, file, index)
        if is_pyquda(file):
            return header_pyquda(path, file)
        return header_lyncs(path, file, key, layout)


def is_pyquda(file: "h5py.File") -> bool:
    return GROUP in file


def header_pyquda(path: Path, file: "h5py.File") -> dict[str, Any]:
    """Metadata of PyQUDA's group, all shapes checked."""
    import h5py

    if not isinstance(file.get(GROUP, getlink=True), h5py.HardLink):
        raise FormatError(f"{path}: expected the group {GROUP} in the file itself")
    group = file[GROUP]
    datasets = [safety.dataset(path, group, key) for key in KEYS]
    sums = [(data, name) for data in datasets for name in SUMS]
    told, annotation, *stored = texts.attributes(
        path, [(group, "Lattice"), (group, "Annotation"), *sums])
    read = [metadata.integer(word) for word in (told or "").split()]
    words = [word for word in read if word is not None]
    if len(read) != 4 or len(words) != 4:
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


def find_array(path: Path, file: "h5py.File", key: str | None) -> "h5py.Dataset":
    """The dataset `key`, or the only one at the root that has the shape of links."""
    import h5py

    if key is not None:
        return safety.dataset(path, file, key)
    hard = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    found = [name for name in hard if isinstance(file[name], h5py.Dataset)
             and len(file[name].shape) == 7]
    if len(found) != 1:
        raise FormatError(f"{path}: expected one dataset of seven axes, found {len(found)} among "
                          f"{', '.join(hard)[:200] or 'none'} (key=NAME in Python names it)")
    return safety.dataset(path, file, found[0])


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


FORMAT = Format(
    name="hdf5",
    title="HDF5 (our ensembles, PyQUDA, lyncs)",
    suffixes=("h5", "hdf5"),
    sniff=sniff,
    read=later(f"{__package__}.links", "read"),
    write=later(f"{__package__}.links", "write"),
    header=header,
    read_options=("slices", "index", "key", "layout"),
    write_options=("precision", "compression", "dialect"),
    chains=chains,
    by_parts=True,
)
