"""What an ensemble file says of its configurations, read without their links; see hdf5_ensemble."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.payload.layout import check_lattice
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.axes import AXES, DIRECTIONS

from . import safety, texts

if TYPE_CHECKING:
    import h5py

NAME, VERSION = "l2hmc-bridge ensemble", 1
LARGEST_META = 1 << 20
COLUMNS = (("crc32", "<u4"), ("trajectory", "<i8"), ("beta", "<f8"), ("plaquette", "<f8"),
           ("link_trace", "<f8"))
CHAIN = ("chain", "<i8")  # which files written before it was there do not have


def is_ours(file: "h5py.File") -> bool:
    return texts.attribute(file, "format") == NAME


def count(path: Path, file: "h5py.File") -> int:
    """Number of configurations, after all shapes and kinds have been checked."""
    version = texts.number(file, "version")
    if version != VERSION:
        raise FormatError(f"{path}: expected ensemble version {VERSION}, found {version}")
    links = safety.dataset(path, file, "links")
    shape = links.shape
    if len(shape) != 8 or shape[1] != 4 or shape[-2:] != (3, 3) or links.dtype.kind != "c":
        raise FormatError(f"{path}: links: expected complex [N,4,Nt,Nx,Ny,Nz,3,3], found "
                          f"{links.dtype} {shape}")
    safety.check_expansion(path, links, links.nbytes)
    told = tuple(texts.attribute(file, name) for name in ("axes", "directions"))
    if told != (",".join(AXES), ",".join(DIRECTIONS)):
        raise FormatError(f"{path}: expected axes {','.join(AXES)} and directions "
                          f"{','.join(DIRECTIONS)}, found {told}")
    for name, kind in (*COLUMNS, *([CHAIN] if CHAIN[0] in file else [])):
        column = safety.dataset(path, file, name)
        if column.shape != shape[:1] or column.dtype != kind:
            raise FormatError(f"{path}: {name}: expected {shape[0]} entries of type {kind}, found "
                              f"{column.dtype} {column.shape}")
    return shape[0]


def chains(path: Path, file: "h5py.File") -> list[int]:
    """The chain of each configuration."""
    total = count(path, file)
    return file[CHAIN[0]][()].tolist() if CHAIN[0] in file else [0] * total


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


def _index(path: Path, total: int, index: int | None) -> int:
    if index is None and total != 1:
        raise FormatError(f"{path}: holds {total} configurations: name one by its index, 0 to "
                          f"{total - 1} (--index), or open the file as an ensemble")
    if not 0 <= (index or 0) < total:
        raise FormatError(f"{path}: index: expected 0 to {total - 1}, found {index}")
    return index or 0


def _stored_meta(path: Path, file: "h5py.File", index: int) -> dict[str, Any]:
    import h5py

    if not isinstance(file.get("meta", getlink=True), h5py.HardLink):
        raise FormatError(f"{path}: expected the group meta in the file itself")
    text = safety.dataset(path, file["meta"], str(index))
    try:
        if text.shape != () or text.dtype.kind != "S" or text.dtype.itemsize > 2 * LARGEST_META:
            raise ValueError("no short text")
        kept = json.loads(text[()])
        if not isinstance(kept, dict) or not isinstance(kept.get("info", {}), dict):
            raise ValueError("no JSON object")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: meta[{index}]: expected JSON of up to {LARGEST_META} bytes: "
                          f"{str(error)[:80]}") from error
    allowed = {"lfn", "ensemble_id", "ensemble_label", *metadata.OWN, "info", "header",
               "source_format", "source_dialect"}
    return {key: value for key, value in kept.items() if key in allowed}
