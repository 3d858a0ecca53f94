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
from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.payload.move import check_slices, stored_links
from l2hmc_bridge.adapters.payload.quality import examined, writable
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.axes import AXES, DIRECTIONS
from l2hmc_bridge.fields.configuration import Configuration

from . import safety
from .ensemble_header import CHAIN, COLUMNS, LARGEST_META, NAME, VERSION, header
from .own import own_sites

if TYPE_CHECKING:
    import h5py

LARGEST_CHUNK = 1 << 30


class Writer:
    """Appends configurations of one lattice to an open HDF5 file."""

    def __init__(self, file: "h5py.File", path: Path, precision: int, compression: str | None):
        self.file, self.path, self.precision = file, path, precision
        self.compression = compression
        self.links: h5py.Dataset | None = None

    def append(self, configuration: Configuration) -> None:
        """Write one more configuration behind the others; meta["chain"] is 0 by default."""
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
        values = (zlib.crc32(array.data), -1 if trajectory is None else trajectory,
                  math.nan if beta is None else beta, measured.plaquette, measured.link_trace,
                  meta.get("chain", 0))
        for (name, _), value in zip((*COLUMNS, CHAIN), values, strict=True):
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
        for name, kind in (*COLUMNS, CHAIN):
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
    with safety.created(path, force) as file:
        writer = Writer(file, path, precision, compression)
        yield writer
        if writer.links is None:
            raise FormatError(f"{path}: expected at least one configuration, found none")


def read(
    path: Path, file: "h5py.File", verify: bool, slices: tuple[int, int] | None, index: int | None
) -> Configuration:
    """Configuration `index`, or time slices of it."""
    meta = header(path, file, index)
    index, links = meta["index"], file["links"]
    first, last = check_slices(path, slices, links.shape[2])
    nt, nx, ny, nz = links.shape[2:6]
    part = parts.shared((nt, nx, ny, nz))
    if part is not None and slices is None:
        tensor, found = own_sites(path, links, index, part, verify)
    else:
        stored = links[index] if slices is None else links[index, :, first:last]
        found = zlib.crc32(np.ascontiguousarray(stored).data) if verify else 0
        with np.errstate(all="ignore"):  # a damaged file may hold any numbers
            tensor = torch.from_numpy(stored.astype(np.complex128, copy=False))[None]
    if verify and slices is None:
        expected = int(file["crc32"][index])
        status = "pass" if found == expected else "fail"
        meta["checks"].append(check("crc32", f"{found:08x}", f"{expected:08x}", 0, status))
    columns = ("plaquette", "link_trace") if slices is None else ()
    printed = [(name, f"{float(file[name][index]):.13f}") for name in columns]
    return examined(tensor, meta, verify, printed)


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
