"""Fields, formats and files that the format tests share."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.configuration import Configuration

EXTENTS = (4, 6, 2, 8)  # t, x, y, z: all different and even
META = {
    "beta": 5.875, "trajectory": 120, "lfn": "lfn://test/cfg_120", "ensemble_id": "ens-1",
    "ensemble_label": "four extents", "info": {"gauge.description": "One plaquette gauge action."},
}


class Case(NamedTuple):
    """One way to write a file, and how exactly links come back."""

    format: str
    suffix: str
    tolerance: float
    options: dict[str, Any]
    reading: dict[str, Any]
    keeps: tuple[str, ...]  # keys of META that the format holds


ALL = tuple(META)[:-1]
NO_LFN = tuple(key for key in ALL if key != "lfn")
CASES = {
    "ildg": Case("ildg", "ildg", 0, {}, {}, ALL),
    "ildg-32": Case("ildg", "lime", 1e-7, {"precision": 32}, {}, ALL),
    "scidac": Case("scidac", "scidac", 0, {}, {}, NO_LFN),
    "scidac-32": Case("scidac", "scidac", 1e-7, {"precision": 32}, {}, NO_LFN),
    "nersc": Case("nersc", "nersc", 0, {}, {}, ALL),
    "nersc-32": Case("nersc", "nersc", 1e-7, {"precision": 32}, {}, ALL),
    "nersc-2": Case("nersc", "nersc", 4e-15, {"rows": 2}, {}, ALL),
    "nersc-32-2": Case("nersc", "nersc", 4e-7, {"precision": 32, "rows": 2}, {}, ALL),
    "milc": Case("milc", "milc", 1e-7, {}, {}, ()),
    "openqcd": Case("openqcd", "openqcd", 0, {}, {}, ()),
    "hirep": Case("hirep", "hirep", 0, {}, {}, ()),
    "bridge": Case("bridge", "bridge", 0, {}, {"lattice": (6, 2, 8, 4)}, ()),
    "npy": Case("npy", "npy", 0, {}, {"layout": "pyquda"}, ()),
    "npy-32": Case("npy", "npy", 1e-7, {"precision": 32}, {"layout": "pyquda"}, ()),
    "hdf5": Case("hdf5", "h5", 0, {}, {}, ALL),
    "hdf5-gzip": Case("hdf5", "h5", 0, {"compression": "gzip"}, {}, ALL),
    "hdf5-32": Case("hdf5", "h5", 1e-7, {"precision": 32}, {}, ALL),
    "hdf5-pyquda": Case("hdf5", "h5", 0, {"dialect": "pyquda"}, {}, ()),
    "lyncs-npy": Case("lyncs", "npy", 0, {}, {"layout": "lyncs"}, ()),
    "lyncs-h5": Case("lyncs", "h5", 0, {}, {"layout": "lyncs"}, ()),
}
# Formats that hold a checksum: no flipped bit in the links can pass unseen.
BARE = ("npy", "lyncs", "openqcd", "hirep", "bridge")
GUARDED = [name for name in CASES if not name.startswith(BARE)]


def random_links(seed: int = 11, extents: tuple[int, ...] = EXTENTS) -> torch.Tensor:
    """Haar-random links: no two entries alike, all irrational."""
    generator = torch.Generator().manual_seed(seed)
    return su3.random_group((1, 4, *extents), generator)


def smooth_links(seed: int = 11, extents: tuple[int, ...] = EXTENTS) -> torch.Tensor:
    """A field near the unit one in a random gauge: its plaquette is far from 0."""
    generator = torch.Generator().manual_seed(seed)
    links = su3.exp(0.3 * su3.random_algebra((1, 4, *extents), generator))
    gauge = su3.random_group((1, *extents), generator)
    return torch.stack(
        [gauge @ links[:, mu] @ gauge.roll(-1, mu + 1).mH for mu in range(4)], dim=1
    )


def configuration(seed: int = 11, extents: tuple[int, ...] = EXTENTS) -> Configuration:
    return Configuration(random_links(seed, extents), dict(META))


def written(case: Case, folder: Path, field: Configuration | None = None) -> Path:
    """A file of this case."""
    path = folder / f"sample.{case.suffix}"
    files.write(path, field or configuration(), case.format, **case.options)
    return path


def payload(links: torch.Tensor, dtype: str = ">c16", rows: int = 3) -> bytes:
    """The natural payload, written here a second time with nothing but numpy."""
    array = links[0].numpy().transpose(1, 4, 3, 2, 0, 5, 6)[:, :, :, :, [1, 2, 3, 0], :rows]
    return np.ascontiguousarray(array.astype(dtype)).tobytes()
