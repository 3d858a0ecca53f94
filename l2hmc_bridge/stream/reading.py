"""Reading a start: verified configurations, projected once if need be, or a cold or hot field.

The core knows no file format: `Files` is what a stream asks of whoever does.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import FormatError, LayoutError
from l2hmc_bridge.fields import layout, su3
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.recorded import randomness, state as checkpoint
from l2hmc_bridge.sampling.numbered import numbered
from l2hmc_bridge.stream.start import Start
from l2hmc_bridge.systems.actions import cold_start
from l2hmc_bridge.systems.theory import Theory

DEFECT_KEPT = 1e-12  # a start further from SU(3) than this is projected once


class Output(NamedTuple):
    """Format of a stream's configurations, and the suffix of their files."""

    name: str
    suffix: str


class Files(Protocol):
    """Reading and writing of configurations; a module of functions is one."""

    def read(self, path: Path) -> Configuration:
        """A verified configuration, [1,4,Nt,Nx,Ny,Nz,3,3]. Raises BridgeError.

        meta: "format", "warnings", those of them that are "recorded", and what is known of
        "trajectory", "plaquette", "unitarity" (max|U U^+ - 1|) and "determinant" (max|det U - 1|).
        """

    def count(self, path: Path) -> int:
        """How many configurations a file holds."""

    def theory(self, path: Path, meta: Mapping[str, Any]) -> Theory:
        """What the file, read as `meta`, and what lies beside it state. Raises FormatError."""

    def carried(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What of a file's metadata the configurations of its stream keep."""

    def output_format(self, start: Start, asked: str | None) -> Output:
        """What is written: asked for, the input's, or another if that cannot be, with a note.

        Raises FormatError for a format asked for that cannot be written.
        """

    def write(self, path: Path, configuration: Configuration, format: str) -> None:
        """Write a whole file or none, replacing what is there. Raises BridgeError."""


class _Source(NamedTuple):
    """One file: its configuration, in SU(3), and the defect that it had."""

    configuration: Configuration
    defect: float


def from_files(files: Files, paths: Sequence[Path], chains: int | None) -> Start:
    """Read and verify; one file serves all chains, several files are one chain each.

    Raises FormatError, VerificationError, LayoutError.
    """
    notes: list[str] = []
    read = [_read(files, path, notes) for path in paths]
    first, both = read[0], list(zip(paths, read, strict=True))
    for path, one in both:
        if one.links.shape != first.links.shape:
            raise LayoutError(f"{path}: expected the lattice of {paths[0]}, "
                              f"{_extents(first.links)}, found {_extents(one.links)}")
    sources = [_projected(path, one, notes) for path, one in both]
    numbers = [max(0, one.meta.get("trajectory") or 0) for one in read]
    order = [chain % len(paths) for chain in range(chains or len(paths))]
    return Start(
        links=torch.cat([sources[index].configuration.links for index in order]),
        first=[numbers[index] for index in order],
        meta=[_carried(files, sources[index]) for index in order],
        name=str(paths[0]),
        format=first.meta["format"],
        stated={str(path): files.theory(path, one.meta) for path, one in both},
        plaquette=first.meta.get("plaquette"),
        read=first.meta,
        record={
            "start": [str(path) for path in paths],
            "start_trajectory": numbers,
            "start_unitarity_defect": [source.defect for source in sources],
            "start_projected": any(source.defect > DEFECT_KEPT for source in sources),
        },
        notes=notes,
        warnings=[f"{path}: {told}" for path, one in both for told in one.meta.get("recorded", [])],
    )


def from_nothing(
    kind: str, lattice: tuple[int, int, int, int], chains: int, seed: int
) -> Start:
    """Cold (unit) or hot (Haar-random) links on X,Y,Z,T."""
    x, y, z, t = lattice
    if kind == "cold":
        links = cold_start((t, x, y, z), chains)
    else:
        links = numbered(seed, [0] * chains, randomness.PHASES[randomness.START]).links(
            (t, x, y, z))
    record = {"start": kind, "start_trajectory": 0, "start_projected": False}
    return Start(links, [0] * chains, [{"date": "not recorded"}] * chains, kind, record=record)


def _read(files: Files, path: Path, notes: list[str]) -> Configuration:
    if path.is_dir():
        hint = " (--resume goes on with a stream)" if checkpoint.exists(path) else ""
        raise FormatError(f"{path}: expected a configuration file, found a folder{hint}")
    if path.is_file() and files.count(path) != 1:
        raise FormatError(f"{path}: expected one configuration, found {files.count(path)} "
                          "(`l2hmc-bridge convert --index` takes one out)")
    configuration = files.read(path)
    meta = configuration.meta
    notes += [f"{path}: {sentence}" for sentence in meta.get("warnings", [])
              if sentence not in meta.get("recorded", [])]
    return configuration


def _projected(path: Path, read: Configuration, notes: list[str]) -> _Source:
    """The links, projected to SU(3) if need be; the reader has measured how far they are."""
    defect = _defect(read)
    if defect <= DEFECT_KEPT:
        return _Source(read, defect)
    notes.append(f"{path}: max|U U^+ - 1|, max|det U - 1| = {defect:.1e} exceeds {DEFECT_KEPT:g}: "
                 "the links are projected to SU(3) once, before tuning")
    return _Source(read._replace(links=su3.project_group(read.links)), defect)


def _defect(read: Configuration) -> float:
    """The larger of max|U U^+ - 1| and max|det U - 1|, as the reader found them if it looked."""
    unitarity, determinant = (read.meta.get(name) for name in ("unitarity", "determinant"))
    if unitarity is None or determinant is None:
        return max(fast.group_defects(read.links))
    return max(float(unitarity), float(determinant))


def _carried(files: Files, source: _Source) -> dict[str, Any]:
    """What is kept of a file's metadata, as JSON returns it; no date, so that bits repeat."""
    kept = files.carried(source.configuration.meta)
    if source.defect > DEFECT_KEPT and "reunitarized" not in kept:
        kept["reunitarized"] = f"start projected to SU(3), its defect was {source.defect:.1e}"
    return {**json.loads(json.dumps(kept, default=str)), "date": "not recorded"}


def _extents(links: Tensor) -> str:
    nt, nx, ny, nz = layout.extents(links)
    return f"{nx},{ny},{nz},{nt}"
