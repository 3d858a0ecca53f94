"""Our own HDF5 layout: one file, many configurations, each with its metadata and its CRC.

Root attributes: format, version, axes, directions, lattice_xyzt, creator. Datasets, first axis the
configuration: links [N,4,Nt,Nx,Ny,Nz,3,3] (complex, chunked per configuration), crc32 (zlib's, of
the little-endian bytes of links[n]), trajectory (-1 unknown), beta (NaN unknown), plaquette,
link_trace. Group meta: for each n a scalar text of JSON, what the source file said.
Nothing is of variable length, so that all of it is under HDF5's own checksums.
"""

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from l2hmc_bridge import __version__
from l2hmc_bridge.configuration import Configuration
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.layout import AXES, DIRECTIONS

from . import hdf5_safety, hdf5_texts, metadata
from .payload import check_lattice, check_slices, stored_links
from .verify import check, examined, writable

if TYPE_CHECKING:
    import h5py

NAME, VERSION = "l2hmc-bridge ensemble", 1
LARGEST_CHUNK = 1 << 30
LARGEST_META = 1 << 20
COLUMNS = (("crc32", "<u4"), ("trajectory", "<i8"), ("beta", "<f8"), ("plaquette", "<f8"),
           ("link_trace", "<f8"))


class Writer:
    """Appends configurations of one lattice to an open HDF5 file."""

    def __init__(self, file: "h5py.File", path: Path, precision: int, compression: str | None):
        self.file, self.path, self.precision = file, path, precision
        self.compression = compression
        self.links: h5py.Dataset | None = None

    def append(self, configuration: Configuration) -> None:
        """Write one more configuration behind the others."""
        links = stored_links(configuration.links, self.precision // 8, 3)
        measured = writable(self.path, links, self.precision)
        shape = tuple(links.shape[1:])
        if self.links is None:
            self.links = self._create(shape)
        if self.links.shape[1:] != shape:
            raise FormatError(f"{self.path}: expected configurations of shape "
                              f"{self.links.shape[1:]}, found {shape}")
        array = np.ascontiguousarray(links[0].cpu().numpy(), self.links.dtype)
        index = self.links.shape[0]
        self.links.resize(index + 1, axis=0)
        self.links[index] = array
        meta = configuration.meta
        trajectory, beta = meta.get("trajectory"), meta.get("beta")
        values = (zlib.crc32(array), -1 if trajectory is None else trajectory,
                  math.nan if beta is None else beta, measured.plaquette, measured.link_trace)
        for (name, _), value in zip(COLUMNS, values, strict=True):
            self.file[name].resize(index + 1, axis=0)
            self.file[name][index] = value
        self.file["meta"][str(index)] = np.bytes_(_kept(meta).encode("ascii"))

    def _create(self, shape: tuple[int, ...]) -> "h5py.Dataset":
        _, nt, nx, ny, nz, _, _ = shape
        dtype = np.dtype(f"<c{self.precision // 4}")
        self.file.attrs.update(
            format=np.bytes_(NAME), version=VERSION, axes=np.bytes_(",".join(AXES)),
            directions=np.bytes_(",".join(DIRECTIONS)), lattice_xyzt=np.array([nx, ny, nz, nt]),
            creator=np.bytes_(f"l2hmc-bridge {__version__}"),
        )
        slices = max(1, min(nt, LARGEST_CHUNK * nt // (math.prod(shape) * dtype.itemsize)))
        self.file.create_group("meta")
        for name, kind in COLUMNS:
            self.file.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(256,))
        return self.file.create_dataset(
            "links", (0, *shape), dtype, maxshape=(None, *shape),
            chunks=(1, 4, slices, nx, ny, nz, 3, 3), compression=self.compression,
            shuffle=self.compression is not None,
        )


@contextmanager
def create(
    path: Path, force: bool = False, precision: int = 64, compression: str | None = None
) -> Iterator[Writer]:
    """A new ensemble file that gets its name when all of it is written.

    compression: None, "gzip" or "lzf" (lossless).
    """
    if compression not in (None, "gzip", "lzf"):
        raise FormatError(f"compression: expected none, gzip or lzf, found {compression!r}")
    with hdf5_safety.created(path, force) as file:
        writer = Writer(file, path, precision, compression)
        yield writer
        if writer.links is None:
            raise FormatError(f"{path}: expected at least one configuration, found none")


def is_ours(file: "h5py.File") -> bool:
    return hdf5_texts.attribute(file, "format") == NAME


def count(path: Path, file: "h5py.File") -> int:
    """Number of configurations, after all shapes and kinds have been checked."""
    version = hdf5_texts.number(file, "version")
    if version != VERSION:
        raise FormatError(f"{path}: expected ensemble version {VERSION}, found {version}")
    links = hdf5_safety.dataset(path, file, "links")
    shape = links.shape
    if len(shape) != 8 or shape[1] != 4 or shape[-2:] != (3, 3) or links.dtype.kind != "c":
        raise FormatError(f"{path}: links: expected complex [N,4,Nt,Nx,Ny,Nz,3,3], found "
                          f"{links.dtype} {shape}")
    hdf5_safety.check_expansion(path, links, links.nbytes)
    told = tuple(hdf5_texts.attribute(file, name) for name in ("axes", "directions"))
    if told != (",".join(AXES), ",".join(DIRECTIONS)):
        raise FormatError(f"{path}: expected axes {','.join(AXES)} and directions "
                          f"{','.join(DIRECTIONS)}, found {told}")
    for name, kind in COLUMNS:
        column = hdf5_safety.dataset(path, file, name)
        if column.shape != shape[:1] or column.dtype != kind:
            raise FormatError(f"{path}: {name}: expected {shape[0]} entries of type {kind}, found "
                              f"{column.dtype} {column.shape}")
    return shape[0]


def header(path: Path, file: "h5py.File", index: int | None) -> dict[str, Any]:
    """Metadata of configuration `index` without its links."""
    total = count(path, file)
    index = _index(path, total, index)
    links = file["links"]
    _, _, nt, nx, ny, nz, _, _ = links.shape
    meta = metadata.basic(
        path,
        format="hdf5",
        dialect="l2hmc-bridge",
        precision=links.dtype.itemsize * 4,
        lattice=check_lattice(path, (nx, ny, nz, nt)),
        index=index,
        configurations=total,
    )
    meta.update(_stored_meta(path, file, index))
    trajectory, beta = int(file["trajectory"][index]), float(file["beta"][index])
    meta["trajectory"] = None if trajectory < 0 else trajectory
    meta["beta"] = beta if math.isfinite(beta) else None
    meta["checksum"] = f"{int(file['crc32'][index]):08x}"
    return meta


def read(
    path: Path, file: "h5py.File", verify: bool, slices: tuple[int, int] | None, index: int | None
) -> Configuration:
    """Configuration `index`, or time slices of it."""
    meta = header(path, file, index)
    index, links = meta["index"], file["links"]
    first, last = check_slices(path, slices, links.shape[2])
    stored = links[index] if slices is None else links[index, :, first:last]
    if verify and slices is None:
        found, expected = zlib.crc32(np.ascontiguousarray(stored)), int(file["crc32"][index])
        status = "pass" if found == expected else "fail"
        meta["checks"].append(check("crc32", f"{found:08x}", f"{expected:08x}", 0, status))
    with np.errstate(all="ignore"):  # a damaged file may hold any numbers
        tensor = torch.from_numpy(stored.astype(np.complex128, copy=False))[None]
    columns = ("plaquette", "link_trace") if slices is None else ()
    printed = [(name, f"{float(file[name][index]):.13f}") for name in columns]
    return examined(tensor, meta, verify, printed)


def _index(path: Path, total: int, index: int | None) -> int:
    if index is None and total != 1:
        raise FormatError(f"{path}: holds {total} configurations: name one by its index "
                          f"(0 to {total - 1}: --index), or open the file as an ensemble")
    if not 0 <= (index or 0) < total:
        raise FormatError(f"{path}: index: expected 0 to {total - 1}, found {index}")
    return index or 0


def _kept(meta: Mapping[str, Any]) -> str:
    """JSON of what the source said; what is too long or no JSON is turned into text or left."""
    keys = (*metadata.CARRIED, "info", "header", "format", "dialect")
    kept = {key: meta[key] for key in keys if meta.get(key) is not None}
    kept["source_format"] = kept.pop("format", None)
    kept["source_dialect"] = kept.pop("dialect", None)
    text = json.dumps(kept, default=str)
    if len(text) > LARGEST_META:
        text = json.dumps({key: kept[key] for key in metadata.CARRIED if key in kept}, default=str)
    return text


def _stored_meta(path: Path, file: "h5py.File", index: int) -> dict[str, Any]:
    import h5py

    if not isinstance(file.get("meta", getlink=True), h5py.HardLink):
        raise FormatError(f"{path}: expected the group meta in the file itself")
    text = hdf5_safety.dataset(path, file["meta"], str(index))
    try:
        if text.shape != () or text.dtype.kind != "S" or text.dtype.itemsize > 2 * LARGEST_META:
            raise ValueError("no short text")
        kept = json.loads(text[()])
        if not isinstance(kept, dict) or not isinstance(kept.get("info", {}), dict):
            raise ValueError("no JSON object")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: meta[{index}]: expected JSON of up to {LARGEST_META} bytes: "
                          f"{str(error)[:80]}") from error
    allowed = {"lfn", "ensemble_id", "ensemble_label", "reunitarized", "info", "header",
               "source_format", "source_dialect"}
    return {key: value for key, value in kept.items() if key in allowed}
